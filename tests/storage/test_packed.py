import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job import storage
from job.errors import UserError
from job.storage import Fault, local
from job.storage import packed as packed_pictures
from job.storage.pack import pack


def test_packed_pictures_are_listed_and_read_like_the_folders_they_were_made_of(tree: Path, tmp_path: Path):
    done = pack(str(tree), str(tmp_path / "packed"), file_bytes=1_500_000)
    assert (done.images, done.faults) == (202, {"empty": 1, "unreadable": 1})
    assert done.files > 2
    root = storage.data_root(str(tmp_path / "packed"))
    assert storage.is_packed(root)
    for prefix in ("", "Training", "Test/Fruit é 1", "Test/Fruit", "Nothing"):
        packed, plain = (storage.list_images(where, prefix).select(["name", "size"]) for where in (root, str(tree)))
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


@pytest.fixture
def packed(tree: Path, tmp_path: Path) -> Path:
    pack(str(tree), str(tmp_path / "packed"))
    return tmp_path / "packed"


def changed(packed: Path, change) -> bytes:
    content = json.loads((packed / storage.INDEX).read_bytes())
    change(content)
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"[" * 100_000,
        lambda _: b"\xff",
        lambda _: b'{"schema_version": 1, "files": [], "blocks": []}',
        lambda packed: changed(packed, lambda content: content["blocks"][0].pop()),
        lambda packed: changed(packed, lambda content: content["blocks"][0].__setitem__(0, "another.parquet")),
        lambda packed: changed(packed, lambda content: content["blocks"][0].__setitem__(1, -1)),
        lambda packed: changed(packed, lambda content: content["blocks"][0].__setitem__(1, 10**23)),
        lambda packed: changed(packed, lambda content: content["blocks"][0].__setitem__(3, 1 << 63)),
        lambda packed: changed(packed, lambda content: content["blocks"][0].__setitem__(5, None)),
        lambda packed: changed(packed, lambda content: content["files"].update({"../part-0-1.parquet": 5})),
        lambda packed: changed(packed, lambda content: content["files"].update({"part-0-1.parquet": "5"})),
        lambda packed: changed(packed, lambda content: content["files"].update({"part-0-1.parquet": 1 << 63})),
    ],
)
def test_an_index_that_is_none_or_leads_elsewhere_is_refused(packed: Path, spoil):
    (packed / storage.INDEX).write_bytes(spoil(packed))
    with pytest.raises(UserError, match="is no index of packed pictures: pack them again"):
        storage.list_images(storage.data_root(str(packed)))


def other_tables(path: Path):
    """Files that are Parquet and no packed pictures, or not those of the index."""
    table = pq.read_table(path)
    nothing = table.set_column(0, "path", pa.nulls(table.num_rows, pa.string()))
    yield from (table.drop_columns(["content"]), nothing, table.set_column(4, "content", [[1.5] * len(table)]))


def test_files_that_are_damaged_missing_or_no_packed_pictures_are_told(packed: Path):
    part = min(packed.glob("part-*.parquet"))
    whole, root = part.read_bytes(), storage.data_root(str(packed))
    names = storage.list_images(root)["name"].to_pylist()
    spoilt = [b"", b"PAR1", whole[:-1], whole[: len(whole) // 2], b"PAR1" + bytes(len(whole) - 8) + b"PAR1"]
    for table in other_tables(part):
        sink = io.BytesIO()
        pq.write_table(table, sink)
        spoilt.append(sink.getvalue())
    for content in [None, *spoilt]:
        part.unlink(missing_ok=True)
        if content is not None:
            part.write_bytes(content)
        packed_pictures.index.cache_clear()
        packed_pictures._footer.cache_clear()
        with pytest.raises(UserError, match="missing or damaged, or no file of packed pictures: pack them again"):
            list(storage.read_many(root, [*names, *storage.list_images(root)["name"].to_pylist()], max_bytes=100))
