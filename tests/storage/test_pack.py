import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from job import storage
from job.errors import UserError
from job.storage import Fault
from job.storage.pack import pack


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """200 pictures of 20 kB in six folders, and some that can't be used."""
    for number in range(200):
        file = tmp_path / "tree" / ["Training", "Test"][number % 2] / f"Fruit é {number % 3}" / f"{number:03d}, +%.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"{number}".encode() * 8_000)
    (tmp_path / "tree" / "Test" / "Fruit é 0" / "empty.png").touch()
    (tmp_path / "tree" / "Test" / "Fruit é 0" / "gone.png").symlink_to("nothing")
    return tmp_path / "tree"


def test_packed_pictures_are_listed_and_read_like_the_folders_they_were_made_of(tree: Path, tmp_path: Path):
    done = pack(str(tree), str(tmp_path / "packed"), file_bytes=1_500_000)
    assert (done.images, done.faults) == (202, {"empty": 1, "unreadable": 1})
    assert done.files > 2
    root = storage.data_root(str(tmp_path / "packed"))
    assert storage.is_packed(root)
    assert storage.list_images(root).equals(storage.list_images(str(tree)))
    for prefix in ("Training", "Test/Fruit é 1", "Test/Fruit", "Nothing"):
        assert storage.list_images(root, prefix).equals(storage.list_images(str(tree), prefix))
        assert storage.list_folders(root, prefix) == storage.list_folders(str(tree), prefix)
    names = storage.list_images(root)["name"].to_pylist()
    for chosen in (names, names[::-1], names[::7], [*names[3:9], "Test/vanished.jpg", "zzz.jpg"], []):
        packed, plain = (list(storage.read_many(where, chosen, max_bytes=22_000)) for where in (root, str(tree)))
        assert packed == plain
    assert Fault("too_large") in packed or Fault("too_large") in list(storage.read_many(root, names, max_bytes=22_000))


def test_the_blocks_of_packed_pictures_are_those_they_are_read_in(tree: Path, tmp_path: Path):
    pack(str(tree), str(tmp_path / "packed"))
    root = storage.data_root(str(tmp_path / "packed"))
    names = storage.list_images(root)["name"]
    blocks = storage.blocks_of(root, names)
    assert blocks is not None
    assert blocks.to_pylist() == sorted(blocks.to_pylist())
    assert len(set(blocks.to_pylist())) > 1
    assert storage.blocks_of(str(tree), names) is None


def test_packed_files_have_the_documented_columns(tree: Path, tmp_path: Path):
    pack(str(tree), str(tmp_path / "packed"))
    table = pq.read_table(next((tmp_path / "packed").glob("*.parquet")))
    assert table.column_names == ["path", "category", "split", "size", "content"]
    assert table["path"].to_pylist() == sorted(table["path"].to_pylist())
    row = table.slice(0, 1).to_pylist()[0]
    assert (row["category"], row["split"]) == ("Fruit é 0", "test")
    assert row["content"] == (tree / row["path"]).read_bytes()
    assert set(table["split"].to_pylist()) == {"train", "test"}


def test_files_have_the_size_asked_for_which_is_128_mb(tree: Path, tmp_path: Path):
    pack(str(tree), str(tmp_path / "packed"), file_bytes=1_000_000)
    sizes = [file.stat().st_size for file in sorted((tmp_path / "packed").glob("*.parquet"))]
    assert len(sizes) > 3
    assert all(950_000 < size < 1_050_000 for size in sizes[:-1]), sizes
    assert pack.__kwdefaults__["file_bytes"] == 128 << 20


def test_a_pack_is_whole_once_its_index_is_there(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "packed"
    monkeypatch.setattr(storage, "write_bytes", lambda *_: (_ for _ in ()).throw(UserError("stopped")))
    with pytest.raises(UserError, match="stopped"):
        pack(str(tree), str(target))
    assert not storage.is_packed(storage.data_root(str(target)))
    monkeypatch.undo()
    pack(str(tree), str(target))  # what was left of the first attempt does no harm
    index = json.loads((target / "_pack.json").read_text())
    assert len(index["files"]) == 1
    assert len(list(target.glob("*.parquet"))) == 2
    assert storage.list_images(storage.data_root(str(target))).num_rows == 202


def test_a_packed_address_is_never_packed_into_again(tree: Path, tmp_path: Path):
    pack(str(tree), str(tmp_path / "packed"))
    with pytest.raises(UserError, match="holds packed pictures already") as caught:
        pack(str(tree), str(tmp_path / "packed"))
    assert caught.value.exit_code == 2


def test_nothing_to_pack_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="There are no pictures"):
        pack(str(tmp_path), str(tmp_path / "packed"))


def test_packing_tells_how_far_it_is(tree: Path, tmp_path: Path):
    told: list[tuple[int, int]] = []
    pack(str(tree), str(tmp_path / "packed"), progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (202, 202)
    assert told == sorted(told)
