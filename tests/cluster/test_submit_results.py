"""Results are copied whole or not at all."""

from pathlib import Path

import pytest

from job.cluster import results
from job.errors import UserError
from job.storage import RunFolder


@pytest.fixture
def out(tmp_path: Path) -> str:
    folder = RunFolder(str(tmp_path / "out"), "one")
    folder.claim()
    folder.write("timings.csv", b"operation\n")
    folder.write("model/stages/0/data", bytes(1000))
    folder.finish({"schema_version": 1})
    return folder.out


def test_a_run_is_copied_with_all_its_files(out: str, tmp_path: Path) -> None:
    copy = results.fetch(out, "one", tmp_path / "results")
    original = Path(out) / "one"
    names = sorted(str(path.relative_to(original)) for path in original.rglob("*") if path.is_file())
    assert names == ["manifest.json", "model/stages/0/data", "timings.csv"]
    assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()) == names
    for name in names:
        assert (copy / name).read_bytes() == (original / name).read_bytes()


def test_a_changed_or_missing_file_leaves_no_copy(out: str, tmp_path: Path) -> None:
    (Path(out) / "one" / "timings.csv").write_bytes(b"operatioN\n")
    with pytest.raises(UserError, match=r"timings\.csv' is not what the run wrote"):
        results.fetch(out, "one", tmp_path / "results")
    (Path(out) / "one" / "timings.csv").unlink()
    with pytest.raises(UserError, match=r"timings\.csv"):
        results.fetch(out, "one", tmp_path / "results")
    assert list((tmp_path / "results").iterdir()) == []


def test_what_is_there_already_is_not_overwritten(out: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(UserError, match="is there already: they are in"):
        results.fetch(out, "one", tmp_path)


def test_a_manifest_can_not_name_a_file_elsewhere(out: str, tmp_path: Path) -> None:
    file = Path(out) / "one" / "manifest.json"
    file.write_text(file.read_text().replace("timings.csv", "../../../stolen"))
    with pytest.raises(UserError, match="names a file outside of it"):
        results.fetch(out, "one", tmp_path / "results")
