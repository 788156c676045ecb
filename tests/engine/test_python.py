"""The Python that Spark's workers run under."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from running import clean_environment, fruits

from job.engine.python import check_python
from job.errors import UserError


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The Python of an environment without packages: a link to the same file as this one's, perhaps."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    return tmp_path / "bare" / "bin" / "python"


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_without_the_packages_is_told_before_anything_is_started(sample: Path, bare: Path, tmp_path: Path):
    """Spark said after a minute: "EOFException occurred while reading the port number"."""
    (tmp_path / "t").mkdir()
    environment = clean_environment(PYSPARK_PYTHON=str(bare), TMPDIR=str(tmp_path / "t"))
    answer = fruits("run", "--data", sample, "--out", tmp_path / "out", "--words", 10, environment=environment)
    assert answer.code == 1
    assert answer.sentence() == (
        f"PYSPARK_PYTHON is '{bare}', which has no numpy, pyarrow, cv2, pyspark: unset PYSPARK_PYTHON, or set it to "
        "the Python of this environment."
    )
    assert not list((tmp_path / "t").iterdir())


def test_a_python_of_another_version_is_named(tmp_path: Path):
    other = script(tmp_path / "python3.9", "echo 3.9 numpy")
    with pytest.raises(
        UserError, match=rf"python3\.9', which is Python 3\.9, and this is Python 3\.{sys.version_info.minor}"
    ):
        check_python({"PYSPARK_PYTHON": other, "PATH": os.defpath})


@pytest.mark.parametrize("text", ["exit 3", "exit 0"])
def test_a_command_that_is_no_python_is_named(text: str, tmp_path: Path):
    other = script(tmp_path / "snake", text)
    with pytest.raises(UserError, match="snake', which does not work as a Python"):
        check_python({"PYSPARK_PYTHON": other, "PATH": os.defpath})


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(UserError, match="PYSPARK_PYTHON is 'no-such-python', and there is no such command"):
        check_python({"PYSPARK_PYTHON": "no-such-python", "PATH": os.defpath})


def test_this_process_s_own_python_is_taken_without_starting_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was started"))
    check_python({"PATH": os.defpath})
    check_python({"PYSPARK_PYTHON": sys.executable, "PATH": os.defpath})
    name = Path(sys.executable).name
    check_python({"PYSPARK_PYTHON": name, "PATH": str(Path(sys.executable).parent)})


def test_another_python_that_has_all_is_taken(tmp_path: Path):
    other = script(tmp_path / "wrapped", f'exec "{sys.executable}" "$@"')
    check_python({**os.environ, "PYSPARK_PYTHON": other})
