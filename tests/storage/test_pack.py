import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from job import storage
from job.errors import UserError
from job.storage.pack import pack


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


def test_a_pack_is_whole_once_its_index_is_there_and_one_that_failed_leaves_nothing(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target = tmp_path / "packed"
    monkeypatch.setattr(storage, "write_bytes", lambda *_: (_ for _ in ()).throw(UserError("stopped")))
    with pytest.raises(UserError, match="stopped"):
        pack(str(tree), str(target), file_bytes=1_500_000)
    assert not storage.is_packed(storage.data_root(str(target)))
    assert list(target.iterdir()) == []
    monkeypatch.undo()
    pack(str(tree), str(target))
    index = json.loads((target / "_pack.json").read_text())
    assert sorted(path.name for path in target.iterdir()) == ["_pack.json", *index["files"]]
    assert storage.list_images(storage.data_root(str(target))).num_rows == 202


def packing(tree: Path, target: Path, then: str) -> "subprocess.Popen[str]":
    """Another process that packs, and does `then` once it has put its first file there."""
    program = f"""
import os, signal, sys
from pathlib import Path
from job.storage.pack import pack
first = True
def progress(done, of):
    global first
    if first and list(Path({str(target)!r}).glob("*.parquet")):
        first = False
        print("first", flush=True)
        {then}
pack({str(tree)!r}, {str(target)!r}, file_bytes=1_000_000, progress=progress)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    return process


def test_what_a_killed_pack_has_left_is_removed_by_the_next_one(tree: Path, tmp_path: Path):
    target = tmp_path / "packed"
    killed = packing(tree, target, "os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    left = {path.name for path in target.iterdir()}
    assert any(name.endswith(".parquet") for name in left)
    pack(str(tree), str(target))
    index = json.loads((target / "_pack.json").read_text())
    assert {path.name for path in target.iterdir()} == {"_pack.json", *index["files"]}
    assert not left & set(index["files"])


def test_of_two_packs_at_the_same_time_the_first_to_end_counts_and_neither_harms_the_other(tree: Path, tmp_path: Path):
    target = tmp_path / "packed"
    other = packing(tree, target, "input()")
    pack(str(tree), str(target))
    index = json.loads((target / "_pack.json").read_text())
    assert len(list(target.glob("*.parquet"))) > len(index["files"])  # those of the other are there still
    _, errors = other.communicate("\n")
    assert "holds packed pictures already" in errors
    assert {path.name for path in target.iterdir()} == {"_pack.json", *index["files"]}
    root = storage.data_root(str(target))
    names = storage.list_images(root)["name"].to_pylist()
    assert len(list(storage.read_many(root, names, max_bytes=10**6))) == 202


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
