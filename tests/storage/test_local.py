import errno
import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from job import storage
from job.errors import UserError
from job.storage import Fault, local

NAMES = ["Training/Apple Braeburn/0, 1.jpg", "Training/Poire é/a%20b+c.JPEG", "Training/🍎/x.png", "Test/Lemon/1.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [*NAMES, "Training/readme.txt", "manifest.json"]:
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return tmp_path / "data"


def read(folder: Path, names: list[str]) -> list[bytes | Fault]:
    return list(storage.read_many(str(folder), names, max_bytes=100))


# ---- listing and reading


def test_pictures_are_listed_at_any_depth_sorted_with_their_sizes(folder: Path):
    listed = storage.list_images(str(folder))
    assert listed.schema.equals(storage.LISTING)
    assert listed["name"].to_pylist() == sorted(NAMES)
    assert listed["size"].to_pylist() == [len(name.encode()) for name in sorted(NAMES)]


def test_a_folder_is_listed_without_pandas(folder: Path):
    code = (
        "import sys\n"
        "from job import storage\n"
        "assert storage.list_images(sys.argv[1]).num_rows\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_a_large_folder_is_listed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = sorted(f"{number:06d} é.jpg" for number in range(70_000))
    entries = [
        SimpleNamespace(name=name, stat=lambda: SimpleNamespace(st_size=1 << 40, st_mtime_ns=5)) for name in names
    ]
    monkeypatch.setattr(local, "_open", lambda *_, **__: (entries, []))
    listed = local.list_images(str(tmp_path), "")
    assert listed.schema.equals(storage.LISTING)
    assert listed["name"].to_pylist() == names
    assert set(listed["size"].to_pylist()) == {1 << 40}


def test_when_a_file_was_written_is_told_and_of_none_nothing(folder: Path, tmp_path: Path):
    os.utime(folder / "manifest.json", (1000.5, 1000.5))
    assert storage.modified(str(folder / "manifest.json")) == 1000.5
    assert storage.modified(str(folder / "nowhere.json")) is None
    assert storage.modified(str(folder / "manifest.json" / "below")) is None


def test_a_listing_comes_sorted_where_all_pictures_are_in_folders(tmp_path: Path):
    names = [f"{folder}/{number}.jpg" for folder in ("A", "A b", "A-b", "A/b", "é", "🍎") for number in range(20)]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = local.list_images(str(tmp_path), "")
    assert listed["name"].to_pylist() == sorted(names, key=str.encode)
    (tmp_path / "B.jpg").touch()
    assert storage.list_images(str(tmp_path))["name"].to_pylist() == sorted([*names, "B.jpg"], key=str.encode)


def test_what_is_no_picture_or_hidden_is_counted_by_kind(tmp_path: Path):
    names = ["A/1.jpg", "A/b/2.PNG", "A/x.psd", "A/b/y.PSD", "A/readme", "A/.1.jpg", "A/odd.a suffix of many letters"]
    for name in [*names, "A/.cache/3.jpg", "A/.cache/4.jpg", "A/b/ends.", "A/\udcff.tx\udcff"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    others = storage.PassedOver()
    assert storage.list_images(str(tmp_path), "A", passed_over=others)["name"].to_pylist() == ["A/1.jpg", "A/b/2.PNG"]
    assert others.counts() == {"no suffix": 3, ".psd": 2, "hidden": 2, ".tx\\xff": 1}


def test_a_prefix_is_a_folder_and_stays_in_the_names(folder: Path):
    assert storage.list_images(str(folder), "Test")["name"].to_pylist() == ["Test/Lemon/1.jpg"]
    assert storage.list_images(str(folder), "Tes").num_rows == 0
    assert storage.list_folders(str(folder)) == ["Test", "Training"]
    assert storage.list_folders(str(folder), "Nothing") == []


def test_links_are_followed_and_a_cycle_of_them_is_not(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.jpg").write_bytes(b"far")
    (folder / "Test" / "Linked").symlink_to(tmp_path / "elsewhere")
    (folder / "Test" / "Up").symlink_to(folder)
    (folder / "Test" / "Lemon" / "gone.jpg").symlink_to(folder / "nothing")
    names = storage.list_images(str(folder), "Test")["name"].to_pylist()
    assert names == ["Test/Lemon/1.jpg", "Test/Lemon/gone.jpg", "Test/Linked/far.jpg"]
    assert read(folder, names)[1:] == [Fault("unreadable"), b"far"]


def test_two_folders_that_link_to_each_other_are_listed_once_more_each(folder: Path):
    for name in ("A", "B"):
        (folder / name).mkdir()
        (folder / name / f"{name}.jpg").touch()
    (folder / "A" / "toB").symlink_to("../B")
    (folder / "B" / "toA").symlink_to("../A")
    names = storage.list_images(str(folder))["name"].to_pylist()
    assert names == sorted([*NAMES, "A/A.jpg", "A/toB/B.jpg", "B/B.jpg", "B/toA/A.jpg"])


def test_a_folder_that_two_links_lead_to_is_listed_under_both_names(folder: Path):
    (folder / "Test" / "Citron").symlink_to("Lemon")
    (folder / "Test" / "Zitrone").symlink_to("Lemon")
    names = storage.list_images(str(folder), "Test")["name"].to_pylist()
    assert names == ["Test/Citron/1.jpg", "Test/Lemon/1.jpg", "Test/Zitrone/1.jpg"]


def test_links_from_folder_to_folder_do_not_multiply(tmp_path: Path):
    for number in range(16):
        (tmp_path / f"{number:02d}").mkdir()
        for link in ("a", "b"):
            (tmp_path / f"{number:02d}" / link).symlink_to(f"../{number + 1:02d}")
    (tmp_path / "16").mkdir()
    (tmp_path / "16" / "x.jpg").touch()
    names = storage.list_images(str(tmp_path))["name"].to_pylist()
    assert "16/x.jpg" in names
    # the last folder by its own name, and once through each link that lies in a folder and not below another link
    assert len(names) == 1 + 2 * 16
    assert names == storage.list_images(str(tmp_path))["name"].to_pylist()


def test_a_link_that_leads_to_itself_is_a_picture_that_can_not_be_read(folder: Path):
    (folder / "Test" / "Lemon" / "self.jpg").symlink_to("self.jpg")
    names = storage.list_images(str(folder), "Test")["name"].to_pylist()
    assert names == ["Test/Lemon/1.jpg", "Test/Lemon/self.jpg"]
    assert read(folder, names)[1] == Fault("unreadable")


def test_hidden_files_and_folders_are_not_listed(folder: Path):
    for name in ("Training/.ipynb_checkpoints/a.jpg", "Test/Lemon/._1.jpg", ".cache/Lemon/x.jpg", "Test/.x/y/z.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert storage.list_images(str(folder))["name"].to_pylist() == sorted(NAMES)
    assert storage.list_folders(str(folder)) == ["Test", "Training"]
    # an address or folder that is asked for may be hidden itself
    assert storage.list_images(str(folder / ".cache"))["name"].to_pylist() == ["Lemon/x.jpg"]
    assert storage.list_images(str(folder), "Test/.x")["name"].to_pylist() == ["Test/.x/y/z.jpg"]


def test_checking_a_folder_leaves_nothing_open(folder: Path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        storage.check(str(folder))
        gc.collect()
    assert [warning for warning in caught if warning.category is ResourceWarning] == []


def test_contents_come_in_the_order_of_the_names(folder: Path):
    names = [NAMES[2], NAMES[0], NAMES[2], NAMES[3]]
    assert read(folder, names) == [name.encode() for name in names]


def test_what_cannot_be_read_is_a_fault_in_its_place(folder: Path):
    (folder / "empty.jpg").touch()
    (folder / "large.jpg").write_bytes(b"x" * 101)
    (folder / "just.jpg").write_bytes(b"x" * 100)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    names = ["empty.jpg", "large.jpg", "just.jpg", "folder.jpg", "pipe.jpg", "vanished.jpg", "a" * 300 + ".jpg"]
    reasons = [found.reason if isinstance(found, Fault) else len(found) for found in read(folder, names)]
    assert reasons == ["empty", "too_large", 100, "unreadable", "unreadable", "unreadable", "unreadable"]


def test_a_name_that_is_no_utf8_is_a_picture_that_can_not_be_read(folder: Path):
    for name in (b"Lemon/\xff.jpg", b"caf\xe9/1.jpg"):
        file = Path(os.fsdecode(os.fsencode(folder) + b"/Test/" + name))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    names = storage.list_images(str(folder), "Test")["name"].to_pylist()
    assert names == ["Test/Lemon/1.jpg", "Test/Lemon/\\xff.jpg", "Test/caf\\xe9/1.jpg"]
    assert read(folder, names)[1:] == [Fault("unreadable"), Fault("unreadable")]


def test_a_missing_folder_is_empty_to_list_and_an_error_to_check(tmp_path: Path):
    assert storage.list_images(str(tmp_path / "none")).num_rows == 0
    assert not storage.exists(str(tmp_path / "none"))
    storage.check(str(tmp_path))
    with pytest.raises(UserError, match=r"none' is not there: check the address"):
        storage.check(str(tmp_path / "none"))


# ---- writing


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "new" / "table.csv"
    storage.write_bytes(str(file), b"first")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"table.csv' can't be written: No space left on device"):
        storage.write_bytes(str(file), b"second")
    assert file.read_bytes() == b"first"
    assert os.listdir(file.parent) == ["table.csv"]  # noqa: PTH208


# ---- files that must not be there yet


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_made_once_and_never_written_over(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    file = tmp_path / "new" / "file"
    assert storage.create(str(file), b"first")
    assert not storage.create(str(file), b"second")
    assert file.read_bytes() == b"first"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_file_that_can_not_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/new' can't be written"):
        storage.create(str(tmp_path / "file" / "new"), b"x")
