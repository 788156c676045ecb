"""What is done is rebuilt from the files of the batches, wherever a watcher was killed."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from job import storage
from job.errors import UserError
from job.experiment.watch import ledger as ledgers
from job.experiment.watch.ledger import SCHEMA, VERSION, Ledger
from job.model.batch import unusable

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = {"model": {"uri": "m", "digest": "d"}, "predicted_at": "2026-01-01T00:00:00+00:00"}


class Killed(BaseException):
    """In place of SIGKILL: nothing may catch it."""


@pytest.fixture
def folder(tmp_path: Path) -> storage.RunFolder:
    found = storage.RunFolder(str(tmp_path), "live", goes_on=True)
    found.claim()
    found.begin({"watch": "pictures"})
    return found


def pictures(*numbers: int, hour: int = 0) -> pa.Table:
    times = [BEGUN + timedelta(hours=hour, seconds=number) for number in numbers]
    names = [f"new/{number:04d}.jpg" for number in numbers]
    return pa.table([names, [1000 + number for number in numbers], times], schema=VERSION)


def batch(versions: pa.Table) -> pa.Table:
    found = unusable(versions["ima"].to_pylist(), "empty")
    return pa.table([*found.columns, versions["size"], versions["modified"]], schema=SCHEMA)


def restored(folder: storage.RunFolder) -> Ledger:
    found = Ledger(folder)
    found.restore()
    return found


def names(table: pa.Table) -> list[str]:
    return sorted(table["ima"].to_pylist())


def rows(folder: storage.RunFolder) -> list[tuple[Any, ...]]:
    """Versions of pictures in all batches, as a reader of the folder sees them."""
    table = parquet.read_table(folder.uri("batches"))
    return sorted(zip(*(table[name].to_pylist() for name in VERSION.names), strict=True))


def test_a_batch_is_a_file_and_a_manifest_that_says_what_is_in_it(folder: storage.RunFolder):
    ledger = restored(folder)
    told = ledger.add(batch(pictures(1, 2)), FACTS)
    data = Path(folder.uri("batches/0000000001.parquet")).read_bytes()
    assert told == json.loads(Path(folder.uri("manifests/0000000001.json")).read_bytes())
    assert told == {
        "schema_version": 1,
        "kind": "watched predictions",
        "batch": 1,
        **FACTS,
        "pictures": 2,
        "statuses": {"empty": 2},
        "file": {
            "path": "batches/0000000001.parquet",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        },
    }
    assert parquet.read_table(folder.uri("batches")).schema.equals(SCHEMA)


def test_what_is_in_a_batch_is_not_new_and_another_version_of_it_is(folder: storage.RunFolder):
    ledger = restored(folder)
    ledger.add(batch(pictures(1, 2)), FACTS)
    for found in (ledger, restored(folder)):
        assert len(found) == 2
        assert names(found.new(pictures(1, 2, 3))) == ["new/0003.jpg"]
        assert names(found.new(pictures(1, hour=1))) == ["new/0001.jpg"]
        resized = pictures(2).set_column(1, VERSION.field("size"), [[7]])
        assert names(found.new(resized)) == ["new/0002.jpg"]


def every_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Sets the write at which the process is killed, counted from 0, and whether it has been done by then."""
    originals = {name: getattr(storage, name) for name in ("create", "write_bytes")}

    def kill(at: int, done: bool) -> None:
        numbers: Iterator[int] = count()

        def wrapped(name: str) -> Callable[..., Any]:
            def write(*arguments: Any) -> Any:
                if next(numbers) != at:
                    return originals[name](*arguments)
                if done:
                    originals[name](*arguments)
                raise Killed

            return write

        for name in originals:
            monkeypatch.setattr(storage, name, wrapped(name))

    return kill


@pytest.mark.parametrize("done", [False, True])
def test_wherever_a_watcher_is_killed_every_picture_is_in_one_batch(
    done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledgers, "BATCHES_UNCOUNTED", 3)
    kill, here = every_write(monkeypatch), [pictures(number, number + 1) for number in range(0, 16, 2)]
    killed = 0
    for at in count():
        folder = storage.RunFolder(str(tmp_path), f"at-{at}", goes_on=True)
        kill(-1, False)
        folder.claim()
        folder.begin({})
        try:
            kill(at, done)
            ledger = restored(folder)
            for versions in here:
                assert ledger.add(batch(versions), FACTS)
        except Killed:
            killed += 1
        kill(-1, False)
        ledger = restored(folder)
        for versions in here:
            rest = ledger.new(versions)
            if rest.num_rows:
                assert ledger.add(batch(rest), FACTS)
        assert rows(folder) == sorted(
            row for table in here for row in zip(*(table[name].to_pylist() for name in VERSION.names), strict=True)
        )
        listed = {path.stem for path in Path(folder.uri("manifests")).iterdir()}
        assert listed == {path.stem for path in Path(folder.uri("batches")).iterdir()}
        if killed <= at:
            break
    assert killed == len(here) * 2 + len(here) // 3


def test_a_start_reads_only_batches_that_were_not_counted(folder: storage.RunFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledgers, "BATCHES_UNCOUNTED", 4)
    ledger = restored(folder)
    for number in range(10):
        ledger.add(batch(pictures(number)), FACTS)
    read, original = [], storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda uri: read.append(uri.rpartition("/")[2]) or original(uri))
    again = restored(folder)
    assert sorted(read) == ["0000000009.parquet", "0000000010.parquet", "_done.parquet"]
    assert len(again) == 10
    assert again.add(batch(pictures(10)), FACTS)["batch"] == 11


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"PAR1 and then nothing")])
def test_without_its_count_all_batches_are_read(spoil, folder: storage.RunFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledgers, "BATCHES_UNCOUNTED", 2)
    ledger = restored(folder)
    for number in range(5):
        ledger.add(batch(pictures(number)), FACTS)
    spoil(Path(folder.uri("_done.parquet")))
    assert names(restored(folder).new(pictures(*range(6)))) == ["new/0005.jpg"]


def test_counted_batches_may_be_removed(folder: storage.RunFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledgers, "BATCHES_UNCOUNTED", 2)
    ledger = restored(folder)
    for number in range(2):
        ledger.add(batch(pictures(number)), FACTS)
    for path in Path(folder.uri("batches")).iterdir():
        path.unlink()
    again = restored(folder)
    assert names(again.new(pictures(0, 1, 2))) == ["new/0002.jpg"]
    assert again.add(batch(pictures(2)), FACTS)["batch"] == 3


def test_a_file_that_was_never_whole_is_removed_and_its_pictures_are_new(folder: storage.RunFolder):
    ledger = restored(folder)
    ledger.add(batch(pictures(1)), FACTS)
    whole = Path(folder.uri("batches/0000000001.parquet")).read_bytes()
    half = Path(folder.uri("batches/0000000002.parquet"))
    for content in (b"", whole[:100], whole[:-1]):
        half.write_bytes(content)
        (half.parent / f".{half.name}.0123.tmp").write_bytes(whole[:50])
        again = restored(folder)
        assert [path.name for path in half.parent.iterdir()] == ["0000000001.parquet"]
        assert names(again.new(pictures(1, 2))) == ["new/0002.jpg"]


def test_a_damaged_batch_is_told_and_left(folder: storage.RunFolder):
    ledger = restored(folder)
    ledger.add(batch(pictures(1)), FACTS)
    path = Path(folder.uri("batches/0000000001.parquet"))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"0000000001.parquet' is damaged: put it back as it was"):
        restored(folder)
    assert path.exists()


def test_of_two_that_write_the_same_number_one_gets_it_and_the_other_reads_it(folder: storage.RunFolder):
    first, second = restored(folder), restored(folder)
    assert first.add(batch(pictures(1, 2)), FACTS)["batch"] == 1
    assert second.add(batch(pictures(2, 3)), FACTS) is None
    second.catch_up()
    assert second.add(batch(second.new(pictures(2, 3))), FACTS)["batch"] == 2
    assert [row[0] for row in rows(folder)] == ["new/0001.jpg", "new/0002.jpg", "new/0003.jpg"]


def test_a_batch_whose_answer_was_lost_is_found(folder: storage.RunFolder, monkeypatch: pytest.MonkeyPatch):
    ledger, original = restored(folder), storage.create

    def lose(uri: str, data: bytes) -> bool:
        original(uri, data)
        raise UserError("The store does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "create", lose)
        with pytest.raises(UserError):
            ledger.add(batch(pictures(1)), FACTS)
    assert ledger.add(batch(pictures(1)), {**FACTS, "predicted_at": "later"}) is None
    ledger.catch_up()
    assert ledger.new(pictures(1)).num_rows == 0
    assert json.loads(Path(folder.uri("manifests/0000000001.json")).read_bytes())["pictures"] == 1


def test_a_manifest_that_could_not_be_written_is_written_later(
    folder: storage.RunFolder, monkeypatch: pytest.MonkeyPatch
):
    ledger = restored(folder)

    def fail(*_: object) -> None:
        raise UserError("The store does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", fail)
        with pytest.raises(UserError):
            ledger.add(batch(pictures(1)), FACTS)
    assert ledger.new(pictures(1)).num_rows == 0
    ledger.settle()
    assert Path(folder.uri("manifests/0000000001.json")).exists()
