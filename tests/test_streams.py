"""Standard streams that are closed or full when the command starts."""

import subprocess
import sys
from pathlib import Path

import pytest
from running import clean_environment

SHOWN = ("completion", "bash")
FRUITS = (sys.executable, "-m", "job")


def shell(script: str, *arguments: str) -> subprocess.CompletedProcess:
    """`script` with the command as `"$@"`."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *FRUITS, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_does_its_work(closed: str, tmp_path: Path):
    """It ended in `AttributeError: 'NoneType' object has no attribute 'flush'`."""
    done = shell(f'"$@" {closed}', "sample", str(tmp_path / "s"), "--train-images", "3", "--test-images", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "s").rglob("*.jpg"))) == 6


def test_what_is_said_of_an_error_does_not_go_to_standard_output_where_the_error_stream_is_closed():
    done = shell('"$@" 2>&-', "nothing")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_that_is_opened_later_does_not_take_the_place_of_a_closed_stream(tmp_path: Path):
    code = (
        "import os, subprocess, sys\n"
        "from job.streams import open_closed_streams\n"
        "open_closed_streams()\n"
        "file = open(sys.argv[1], 'wb')\n"
        "assert file.fileno() > 2\n"
        "subprocess.run(['sh', '-c', 'echo said; echo so >&2'], check=True)\n"
        "print('printed')\n"
    )
    done = subprocess.run(
        ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code, str(tmp_path / "file")],
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [SHOWN, ("sample", "s", "--train-images", "3", "--test-images", "3")])
def test_an_output_that_can_not_be_written_is_told(arguments: tuple[str, ...], tmp_path: Path):
    done = shell(f'cd {tmp_path}; "$@" >/dev/full', *arguments)
    assert done.returncode == 1
    assert done.stderr in (
        "fruits: There is no room left for what the command says, standard output: free some, or send it elsewhere.\n",
        "fruits: What it says can't be written to standard output (No space left on device).\n",
    )
