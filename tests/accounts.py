"""Mutated pictures put somewhere, and what became of each in a run."""

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from running import Results

from job.report.tables import from_cell

CATEGORIES = ("=HYPERLINK(1)", "<script>alert(1)<", 'semi;colon, comma "quote"', "plain")
DESCRIBED = "described"
# So many pictures of the two splits that a run has something to compare.
TEST_SHARE = 10


def placed(pictures: Iterable[tuple[str, bytes]]) -> Iterable[tuple[str, bytes]]:
    """Paths and contents: each picture in one of the categories, one in ten of them to test."""
    for number, (name, content) in enumerate(pictures):
        split = "Test" if number % TEST_SHARE == 0 else "Training"
        yield f"{split}/{CATEGORIES[number // TEST_SHARE % len(CATEGORIES)]}/{name}", content


def write(folder: Path, pictures: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Writes them below a folder; by path what was written."""
    found = dict(placed(pictures))
    for path, content in found.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return found


def fates(run: Results) -> dict[str, str]:
    """By path what became of each picture of a run: "described", or its reason. Fails where one is there twice."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        rows = [(from_cell(row["path"]), row["reason"]) for row in run.rows("rejected.csv")]
        for split in ("train", "test"):
            rows += [(from_cell(row["ima"]), DESCRIBED) for row in run.rows(f"bag_of_words_{split}.csv")]
    finally:
        csv.field_size_limit(before)
    twice = [path for path, count in Counter(path for path, _ in rows).items() if count > 1]
    assert not twice, twice[:3]
    for split, counts in run.manifest["dataset"].items():
        assert counts["images"] == counts["described"] + counts["without_descriptors"] + counts["rejected"], split
    return dict(rows)


class _Dangers(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "base", "form"):
            self.found.append(tag)
        for name, value in attrs:
            leads = (value or "").strip().lower()
            if name.startswith("on") or leads.startswith(("javascript:", "http:", "https:", "//")):
                self.found.append(f"{tag} {name}={value}")


def dangers(page: Path) -> list[str]:
    """What in a page would run, or ask the network for something."""
    parser = _Dangers()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.found


def put(client: Any, bucket: str, contents: Mapping[str, bytes]) -> set[str]:
    """Pictures into a bucket, below `data/`; the paths that the store refuses as names of objects."""
    refused = set()

    def put_one(path: str) -> None:
        try:
            client.put_object(Bucket=bucket, Key=f"data/{path}", Body=contents[path])
        except client.exceptions.ClientError:
            refused.add(path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_one, contents))
    return refused
