"""Described pictures in files of their own, without Spark: when files are written, and what is in them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from job import kept, storage
from job.errors import UserError
from job.kept import Kept

NAMES = ["ima", "cat", "size", "version", "part", "descriptors", "keypoints", "reason"]


def asked(count: int, part: str | None = None) -> pa.RecordBatch:
    columns = {
        "root": ["/data"] * count,
        "ima": [f"A/{number}.jpg" for number in range(count)],
        "cat": ["A"] * count,
        "size": list(range(count)),
        "version": [7] * count,
        "part": pa.array([part] * count, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


class Describing:
    """Describes pictures one by one, and notes how many files there are at each."""

    def __init__(self, place: Path, reasons: dict[str, str] | None = None) -> None:
        self.place, self.reasons = place, reasons or {}
        self.seen: list[str] = []

    def __call__(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        for row in batch.drop_columns(["root"]).to_pylist():
            self.seen.append(row["ima"])
            row |= {"descriptors": row["ima"].encode() * 9, "keypoints": 9, "reason": self.reasons.get(row["ima"])}
            yield pa.RecordBatch.from_pylist([row], pa.schema([*list(batch.schema)[1:], *MORE]))


MORE = list(pa.schema([("descriptors", pa.binary()), ("keypoints", pa.int32()), ("reason", pa.string())]))


def work(place: Path, batches: list[pa.RecordBatch], describe: Describing, pictures: int = 3) -> pa.Table:
    return pa.Table.from_batches(Kept(str(place), pictures).work(batches, describe, NAMES))


def parts(place: Path) -> dict[str, list[str]]:
    return {
        name: storage.read_columns(str(place / name), size, ["ima"])["ima"].to_pylist()
        for name, size in storage.files(str(place)).items()
    }


def test_a_file_is_written_after_so_many_pictures_and_for_the_rest(tmp_path: Path):
    found = work(tmp_path, [asked(8)], Describing(tmp_path))
    assert found.num_rows == 8
    assert sorted(map(len, parts(tmp_path).values())) == [2, 3, 3]
    assert sorted(name for names in parts(tmp_path).values() for name in names) == found["ima"].to_pylist()


def test_files_are_there_while_later_pictures_are_described(tmp_path: Path):
    batches = Kept(str(tmp_path), 2).work([asked(9)], Describing(tmp_path), NAMES)
    for _ in range(7):
        next(batches)
    assert len(parts(tmp_path)) >= 2, "a task that is killed now has lost no more than the last ones"
    batches.close()
    assert not list(tmp_path.glob(".*"))


def test_what_was_kept_is_given_without_describing_and_its_category_is_the_one_asked_for(tmp_path: Path):
    first = work(tmp_path, [asked(3)], Describing(tmp_path))
    (name,) = parts(tmp_path)
    describe = Describing(tmp_path)
    batch = asked(3, name).set_column(2, "cat", pa.array(["B"] * 3))
    again = work(tmp_path, [batch], describe)
    assert describe.seen == []
    assert again["cat"].to_pylist() == ["B"] * 3
    assert again.drop_columns(["cat", "part"]).equals(first.drop_columns(["cat", "part"]))


def test_reasons_that_may_pass_are_not_kept(tmp_path: Path):
    reasons = {"A/0.jpg": "unreadable", "A/1.jpg": "crashed", "A/2.jpg": "truncated"}
    assert work(tmp_path, [asked(4)], Describing(tmp_path, reasons)).num_rows == 4
    assert list(parts(tmp_path).values()) == [["A/2.jpg", "A/3.jpg"]]


def test_a_file_of_other_pictures_is_removed_and_they_are_described(tmp_path: Path):
    work(tmp_path, [asked(2)], Describing(tmp_path))
    (name,) = parts(tmp_path)
    describe = Describing(tmp_path)
    assert work(tmp_path, [asked(3, name)], describe).num_rows == 3
    assert describe.seen == ["A/0.jpg", "A/1.jpg", "A/2.jpg"]
    assert name not in parts(tmp_path)


def test_a_task_whose_files_can_not_be_written_fails_in_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="can't be written"):
        work(tmp_path / "file", [asked(4)], Describing(tmp_path))


def test_names_of_files_are_those_of_their_pictures():
    one, same, other = asked(3), asked(3, "x"), asked(4)
    assert kept.part_name(one) == kept.part_name(same) != kept.part_name(other)
    assert kept.NAME.fullmatch(kept.part_name(one))
