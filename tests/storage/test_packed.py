from pathlib import Path

from job import storage
from job.storage import Fault, local
from job.storage.pack import pack


def test_packed_pictures_are_listed_and_read_like_the_folders_they_were_made_of(tree: Path, tmp_path: Path):
    done = pack(str(tree), str(tmp_path / "packed"), file_bytes=1_500_000)
    assert (done.images, done.faults) == (202, {"empty": 1, "unreadable": 1})
    assert done.files > 2
    root = storage.data_root(str(tmp_path / "packed"))
    assert storage.is_packed(root)
    for prefix in ("", "Training", "Test/Fruit é 1", "Test/Fruit", "Nothing"):
        packed, plain = (storage.list_images(where, prefix).drop_columns(["changed"]) for where in (root, str(tree)))
        assert packed.equals(plain)
        assert storage.list_folders(root, prefix) == storage.list_folders(str(tree), prefix)
    names = storage.list_images(root)["name"].to_pylist()
    for chosen in (names, names[::-1], names[::7], [*names[3:9], "Test/vanished.jpg", "zzz.jpg"], []):
        packed, plain = (list(storage.read_many(where, chosen, max_bytes=22_000)) for where in (root, str(tree)))
        assert packed == plain
    found = list(storage.read_many(root, names, max_bytes=22_000))
    large = {name for name in names if (tree / name).exists() and (tree / name).stat().st_size > 22_000}
    assert {name for name, content in zip(names, found, strict=True) if content == Fault("too_large")} == large
    assert 0 < len(large) < 200


def test_the_blocks_of_packed_pictures_are_those_they_are_read_in(tree: Path, tmp_path: Path):
    pack(str(tree), str(tmp_path / "packed"))
    root = storage.data_root(str(tmp_path / "packed"))
    names = storage.list_images(root)["name"]
    blocks = storage.blocks_of(root, names)
    assert blocks is not None
    assert blocks.to_pylist() == sorted(blocks.to_pylist())
    assert len(set(blocks.to_pylist())) > 1
    assert storage.blocks_of(str(tree), names) is None


def test_hidden_pictures_that_an_earlier_version_has_packed_are_not_listed(tmp_path: Path, monkeypatch):
    for name in ("Training/A/1.jpg", "Training/A/._1.jpg", "Training/.ipynb_checkpoints/A/2.jpg"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(b"x")
    with monkeypatch.context() as patch:
        patch.setattr(local, "is_hidden", lambda _name: False)
        patch.setattr(local, "is_picture", lambda name: name.endswith(".jpg"))
        assert pack(str(tmp_path / "tree"), str(tmp_path / "packed")).images == 3
    root = storage.data_root(str(tmp_path / "packed"))
    assert storage.list_images(root)["name"].to_pylist() == ["Training/A/1.jpg"]
    assert storage.list_folders(root, "Training") == ["A"]
