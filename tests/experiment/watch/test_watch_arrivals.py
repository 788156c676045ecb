"""Which pictures are taken: new ones that are whole, the oldest first."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from job import storage
from job.experiment.watch import arrivals as arrivals_module
from job.experiment.watch.arrivals import SETTLING, Arrivals
from job.experiment.watch.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    folder = storage.RunFolder(str(tmp_path / "out"), "live", goes_on=True)
    folder.claim()
    folder.begin({})
    return Ledger(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write(path: Path, content: bytes, age: float = 0.0) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    if age:
        changed = path.stat().st_mtime - age
        os.utime(path, (changed, changed))


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(arrivals_module.time, "monotonic", found)
    return found


def looked(arrivals: Arrivals, ledger: Ledger, clock: Clock, after: float = SETTLING) -> tuple[list[str], int]:
    """What is found by a look so many seconds after the one before."""
    clock.now += after
    ready, waiting = arrivals.look(ledger)
    return ready["ima"].to_pylist(), waiting


def test_a_picture_settles_for_a_second_however_often_one_looks(data: Path, ledger: Ledger, clock: Clock):
    arrivals = Arrivals(str(data))
    write(data / "a.jpg", b"half of it")
    for _ in range(10):
        assert looked(arrivals, ledger, clock, SETTLING / 16) == ([], 1)
    write(data / "a.jpg", b"half of it, and then the rest")
    for _ in range(16):  # the first of them sees it anew
        assert looked(arrivals, ledger, clock, SETTLING / 16) == ([], 1)
    assert looked(arrivals, ledger, clock, SETTLING / 16) == (["a.jpg"], 0)


def test_a_listing_that_takes_long_counts_from_its_end_to_the_beginning_of_the_next(
    data: Path, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """A file may be looked at late in one listing, and early in the next."""
    original = storage.list_images

    def slow(uri: str) -> pa.Table:
        found = original(uri)
        clock.now += 5
        return found

    monkeypatch.setattr(storage, "list_images", slow)
    arrivals = Arrivals(str(data))
    write(data / "a.jpg", b"half of it")
    assert looked(arrivals, ledger, clock) == ([], 1)
    assert looked(arrivals, ledger, clock, 0.5 * SETTLING) == ([], 1)
    assert looked(arrivals, ledger, clock, 0) == (["a.jpg"], 0)


def test_a_picture_is_taken_when_two_listings_show_it_alike(data: Path, ledger: Ledger, clock: Clock):
    arrivals = Arrivals(str(data))
    assert looked(arrivals, ledger, clock) == ([], 0)
    write(data / "a.jpg", b"half of it")
    assert looked(arrivals, ledger, clock) == ([], 1)
    write(data / "a.jpg", b"half of it, and then the rest")
    write(data / "b.jpg", b"another one")
    assert looked(arrivals, ledger, clock) == ([], 2)
    write(data / "b.jpg", b"ANOTHER ONE", age=7)  # of the same size
    assert looked(arrivals, ledger, clock) == (["a.jpg"], 1)
    assert looked(arrivals, ledger, clock) == (["b.jpg", "a.jpg"], 0)


def test_an_empty_file_is_waited_for_longer(data: Path, ledger: Ledger, clock: Clock):
    arrivals = Arrivals(str(data))
    write(data / "a.jpg", b"")
    write(data / "old.jpg", b"", age=120)
    assert looked(arrivals, ledger, clock) == ([], 2)
    assert looked(arrivals, ledger, clock) == (["old.jpg"], 1)
    write(data / "a.jpg", b"and here it is")
    assert looked(arrivals, ledger, clock) == (["old.jpg"], 1)
    assert looked(arrivals, ledger, clock) == (["old.jpg", "a.jpg"], 0)


def test_the_oldest_come_first_whatever_folder_they_are_in(data: Path, ledger: Ledger, clock: Clock):
    arrivals = Arrivals(str(data))
    for number, name in enumerate(["b/2.jpg", "a/1.PNG", "3.jpeg"]):
        write(data / name, b"picture", age=100 - number)
    write(data / ".hidden.jpg", b"not a picture")
    write(data / "notes.txt", b"not a picture")
    looked(arrivals, ledger, clock)
    assert looked(arrivals, ledger, clock) == (["b/2.jpg", "a/1.PNG", "3.jpeg"], 0)


def test_a_dangling_link_is_taken_as_any_other_name(data: Path, ledger: Ledger, clock: Clock):
    (data / "gone.jpg").symlink_to(data / "nowhere.jpg")
    arrivals = Arrivals(str(data))
    looked(arrivals, ledger, clock)
    assert looked(arrivals, ledger, clock) == (["gone.jpg"], 0)


def test_a_folder_that_goes_away_is_an_empty_one(data: Path, ledger: Ledger, clock: Clock):
    arrivals = Arrivals(str(data))
    write(data / "a.jpg", b"picture")
    looked(arrivals, ledger, clock)
    (data / "a.jpg").unlink()
    data.rmdir()
    assert looked(arrivals, ledger, clock) == ([], 0)
