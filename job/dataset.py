"""An address becomes a table of images, and that table a Spark frame whose partitions follow cores and bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job import storage
from job.errors import UserError
from job.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FOLDERS = {"train": "Training", "test": "Test"}

# A task of 2 MB is about 320 pictures of 100 x 100, 1.3 s of SIFT: long against the 6 ms between two tasks. Where a
# core would have few of them, half as large ones balance better.
_TASK_BYTES = 2 << 20
_FEW = 8
_MOST_TASKS = 10_000
# The last tasks of each core, where it has more than these, as parts of a whole one: cores wait less for the last. A
# whole one stays below twice the mean, as `sampling.Draw` expects. On 20,000 pictures and four cores that and tasks of
# 2 MB take 7.9 s; 1 MB and two halves at the end took 8.2.
_LAST = (0.75, 0.5, 0.25, 0.125)
# What a picture costs besides its bytes, so that very small ones are not all put into one task.
_PICTURE_BYTES = 1 << 10


@dataclass(frozen=True)
class Images:
    """The pictures of one split.

    `table` has a row a picture, sorted by name: `ima` string, relative to `root`; `cat` string, its folder; `size`
    int64, bytes.
    """

    split: str
    root: str
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def categories(self) -> dict[str, int]:
        """Pictures per category, alphabetical."""
        counts = pc.value_counts(self.table["cat"])
        pairs = ((item["values"].as_py(), item["counts"].as_py()) for item in counts)
        return dict(sorted(pairs))

    def digest(self) -> str:
        """SHA-256 over names and sizes: the same pictures, the same digest."""
        state = hashlib.sha256()
        for name, size in zip(self.table["ima"], self.table["size"], strict=True):
            state.update(f"{name.as_py()}\0{size.as_py()}\n".encode())
        return state.hexdigest()


def listing(settings: Settings, data: str | None, split: str) -> Images:
    """All pictures of a split in the categories asked for. `data` is the address with Training/ and Test/, used where
    the settings name no address for the split itself.

    Raises UserError when an address does not exist, holds no pictures, or lacks a category that was named.
    """
    own = {"train": settings.train, "test": settings.test}[split]
    root, folder = (own, "") if own else (data, FOLDERS[split])
    assert root is not None
    return _list(split, storage.data_root(root), folder, settings.categories)


def _list(split: str, root: str, folder: str, categories: Sequence[str]) -> Images:
    where = storage.join(root, folder) if folder else root
    storage.check(root)
    if not storage.is_packed(root) and not storage.exists(root):
        raise UserError(f"'{root}' does not exist: give --data a folder or s3:// address with Training/ and Test/.")
    found = storage.list_folders(root, folder)
    if folder and not found and (storage.is_packed(root) or not storage.exists(where)):
        raise UserError(
            f"'{root}' has no folder '{folder}/': pictures are expected as {folder}/<Category>/*.jpg "
            "(or use --train and --test)."
        )
    missing = [name for name in categories if name not in found]
    if missing:
        raise UserError(
            f"The category '{missing[0]}' is not in '{where}': it has "
            f"{', '.join(found[:10]) or 'no folders'}{' ...' if len(found) > 10 else ''}."
        )
    parts = (
        [storage.list_images(root, f"{folder}/{name}" if folder else name) for name in sorted(categories)]
        if categories
        else [storage.list_images(root, folder)]
    )
    listing = pa.concat_tables(parts).sort_by("name")
    if not listing.num_rows:
        raise UserError(f"There are no pictures (.jpg, .jpeg, .png) in '{where}': check the address.")
    below = listing["name"] if not folder else pc.utf8_slice_codeunits(listing["name"], len(folder) + 1)
    if not pc.all(pc.match_substring(below, "/")).as_py():
        stray = listing["name"].filter(pc.invert(pc.match_substring(below, "/")))[0].as_py()
        raise UserError(
            f"The picture '{stray}' in '{root}' is in no category folder: move it to "
            f"{folder + '/' if folder else ''}<Category>/."
        )
    category = pc.struct_field(pc.extract_regex(listing["name"], r"(?:^|/)(?P<cat>[^/]+)/[^/]+$"), "cat")
    return Images(split, root, pa.table({"ima": listing["name"], "cat": category, "size": listing["size"]}))


def check_categories(splits: dict[str, Images], settings: Settings) -> None:
    """Raise UserError when a classifier could not be trained or tested on these categories."""
    train, test = (list(splits[split].categories()) for split in ("train", "test"))
    if len(train) < 2 and not settings.no_classify:
        raise UserError(
            f"There is one category only, '{train[0]}': a classifier needs two or more "
            "(--no-classify stops after the features)."
        )
    unknown = [name for name in test if name not in set(train)]
    if unknown:
        raise UserError(
            f"The category '{unknown[0]}' has test pictures and no training pictures: add some, or name "
            "the categories to use with --categories."
        )


def choose(images: Images, wanted: int | None) -> Images:
    """`wanted` pictures spread evenly over the categories: in each those with the lowest hash of their names, so that
    they are the same every time, and a smaller choice is part of a larger one. Categories too small for their share
    give all they have. Raises UserError when a category would have no training picture."""
    if wanted is None or wanted >= len(images):
        return images
    counts = images.categories()
    if images.split == "train" and wanted < len(counts):
        raise UserError(
            f"--train-images {wanted} is less than the {len(counts)} categories: a category needs a "
            "picture; raise it, or name fewer with --categories."
        )
    shares = _even_shares(counts, wanted)
    keep = np.zeros(len(images), bool)
    names, cats = images.table["ima"].to_pylist(), images.table["cat"].to_pylist()
    members: dict[str, list[int]] = {name: [] for name in counts}
    for row, cat in enumerate(cats):
        members[cat].append(row)
    for cat, rows in members.items():
        rows.sort(key=lambda row: hashlib.blake2b(names[row].encode(), digest_size=8).digest())
        keep[rows[: shares[cat]]] = True
    return Images(images.split, images.root, images.table.filter(pa.array(keep)))


def _even_shares(counts: dict[str, int], wanted: int) -> dict[str, int]:
    """Level the categories: each gives so many or all it has, and the first ones with more to give one more."""
    low, high = 0, wanted
    while low < high:
        level = (low + high + 1) // 2
        low, high = (level, high) if sum(min(n, level) for n in counts.values()) <= wanted else (low, level - 1)
    shares = {name: min(n, low) for name, n in counts.items()}
    more = [name for name, n in counts.items() if n > low][: wanted - sum(shares.values())]
    return {name: share + (name in more) for name, share in shares.items()}


def partitions(pictures: int, size: int, cores: int, least: int = 1) -> int:
    """How many tasks read and describe so many pictures of so many bytes in all: one a core for a set of up to 2 MB a
    core, one for every MB of a larger one until a core has eight, then one for every 2 MB; rounded up to whole rounds
    of the cores, at most 10,000."""
    cost = size + pictures * _PICTURE_BYTES
    whole, halves = -(-cost // _TASK_BYTES), -(-2 * cost // _TASK_BYTES)
    wanted = max(cores, least, max(whole, min(halves, _FEW * cores)) if whole > cores else 1)
    rounds = -(-wanted // cores)
    return max(1, min(pictures, max(least, min(_MOST_TASKS, rounds * cores))))


def planned_partitions(images: Images, cores: int, settings: Settings) -> int:
    """The number asked for, or the one that suits."""
    if settings.partitions:
        return min(settings.partitions, len(images))
    return partitions(len(images), int(pc.sum(images.table["size"]).as_py()), cores, settings.min_partitions)


def shards(images: Images, count: int, seed: int, cores: int | None = None) -> list[pa.RecordBatch]:
    """The pictures in `count` parts, mixed, so that each part has some of every category.

    The parts have about the same bytes. Where the cores are given, and each of them works on five parts or more, the
    last four are ever smaller.
    """
    weights = np.ones(count)
    if cores is not None and count >= (len(_LAST) + 1) * cores:
        weights[-len(_LAST) * cores :] = np.repeat(_LAST, cores)
    random = np.random.default_rng(seed)
    blocks = storage.blocks_of(images.root, images.table["ima"].to_pylist())
    if blocks is None:
        order = random.permutation(len(images))
    else:  # packed pictures are read by whole blocks: these are mixed, and their pictures stay together
        number = np.asarray(blocks)
        order = np.lexsort((np.arange(len(images)), random.permutation(int(number.max()) + 1)[number]))
    mixed = images.table.take(pa.array(order)).combine_chunks()
    cost = np.cumsum(mixed["size"].to_numpy() + _PICTURE_BYTES)
    ends = np.searchsorted(cost, cost[-1] * np.cumsum(weights)[:-1] / weights.sum(), side="right")
    bounds = np.concatenate([[0], np.maximum.accumulate(np.clip(ends, 1, len(images))), [len(images)]])
    parts = [mixed.slice(start, end - start) for start, end in pairwise(bounds) if end > start]
    return [batch for part in parts for batch in part.to_batches()]


def frame(spark: "SparkSession", images: Images, cores: int, settings: Settings) -> "DataFrame":
    """Spark frame `root, ima, cat` with a partition for each shard: addresses only, the pictures are read where they
    are described."""
    from pyspark.sql import functions as F

    count = planned_partitions(images, cores, settings)
    table = pa.Table.from_batches(shards(images, count, settings.seed, cores)).select(["ima", "cat"])
    return spark.createDataFrame(table).select(F.lit(images.root).alias("root"), "ima", "cat")
