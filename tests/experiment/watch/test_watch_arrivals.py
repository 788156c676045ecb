"""Which pictures are taken: new ones that are whole, the oldest first."""

import os
from pathlib import Path

import pytest

from job import storage
from job.experiment.watch.arrivals import Arrivals
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


def looked(arrivals: Arrivals, ledger: Ledger) -> tuple[list[str], int]:
    ready, waiting = arrivals.look(ledger)
    return ready["ima"].to_pylist(), waiting


def test_a_picture_is_taken_when_two_listings_show_it_alike(data: Path, ledger: Ledger):
    arrivals = Arrivals(str(data))
    assert looked(arrivals, ledger) == ([], 0)
    write(data / "a.jpg", b"half of it")
    assert looked(arrivals, ledger) == ([], 1)
    write(data / "a.jpg", b"half of it, and then the rest")
    write(data / "b.jpg", b"another one")
    assert looked(arrivals, ledger) == ([], 2)
    write(data / "b.jpg", b"ANOTHER ONE", age=7)  # of the same size
    assert looked(arrivals, ledger) == (["a.jpg"], 1)
    assert looked(arrivals, ledger) == (["b.jpg", "a.jpg"], 0)


def test_an_empty_file_is_waited_for_longer(data: Path, ledger: Ledger):
    arrivals = Arrivals(str(data))
    write(data / "a.jpg", b"")
    write(data / "old.jpg", b"", age=120)
    assert looked(arrivals, ledger) == ([], 2)
    assert looked(arrivals, ledger) == (["old.jpg"], 1)
    write(data / "a.jpg", b"and here it is")
    assert looked(arrivals, ledger) == (["old.jpg"], 1)
    assert looked(arrivals, ledger) == (["old.jpg", "a.jpg"], 0)


def test_the_oldest_come_first_whatever_folder_they_are_in(data: Path, ledger: Ledger):
    arrivals = Arrivals(str(data))
    for number, name in enumerate(["b/2.jpg", "a/1.PNG", "3.jpeg"]):
        write(data / name, b"picture", age=100 - number)
    write(data / ".hidden.jpg", b"not a picture")
    write(data / "notes.txt", b"not a picture")
    looked(arrivals, ledger)
    assert looked(arrivals, ledger) == (["b/2.jpg", "a/1.PNG", "3.jpeg"], 0)


def test_a_dangling_link_is_taken_as_any_other_name(data: Path, ledger: Ledger):
    (data / "gone.jpg").symlink_to(data / "nowhere.jpg")
    arrivals = Arrivals(str(data))
    looked(arrivals, ledger)
    assert looked(arrivals, ledger) == (["gone.jpg"], 0)


def test_a_folder_that_goes_away_is_an_empty_one(data: Path, ledger: Ledger):
    arrivals = Arrivals(str(data))
    write(data / "a.jpg", b"picture")
    looked(arrivals, ledger)
    (data / "a.jpg").unlink()
    data.rmdir()
    assert looked(arrivals, ledger) == ([], 0)
