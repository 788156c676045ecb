"""What shells complete with the scripts that `fruits completion` prints: asked of the shells themselves."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from absent import absent

from job.commands.parsers import COMMANDS, options_of, parser
from job.vision import descriptors


def shell(name: str) -> str:
    """Path of a shell; without it the test is skipped, in the gate it fails."""
    found = shutil.which(name)
    if found is None:
        absent(f"{name} is not installed")
    return found


@pytest.fixture
def script(answer, tmp_path: Path):
    """Writes the script of a shell; its path."""

    def write(name: str) -> Path:
        found = answer("completion", name)
        assert found.code == 0
        path = tmp_path / f"completion.{name}"
        path.write_text(found.out)
        return path

    return write


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures and runs."""
    folder = tmp_path / "place"
    for name in ("pictures one", "out/monday", "out/tuesday"):
        (folder / name).mkdir(parents=True)
    (folder / "run.toml").touch()
    monkeypatch.chdir(folder)
    return folder


def in_bash(script: Path, line: str) -> set[str]:
    """What bash offers at the end of a line, taken into words as readline does."""
    words = re.split(r" |(?<==)|(?==)", line)
    given = " ".join(f"'{word}'" for word in words)
    asked = f"source '{script}'; COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; compopt() {{ :; }}; _fruits"
    code = f'{asked}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run([shell("bash"), "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(filter(None, done.stdout.splitlines()))


def in_fish(script: Path, line: str) -> set[str]:
    """What fish offers at the end of a line."""
    code = f"source '{script}'; complete -C '{line}'"
    environment = {**os.environ, "HOME": str(script.parent), "XDG_CONFIG_HOME": str(script.parent)}
    command = [shell("fish"), "--no-config", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    return {text.partition("\t")[0] for text in done.stdout.splitlines()}


def in_zsh(script: Path, line: str, offered: Sequence[str]) -> str:
    """The screen of an interactive zsh after the line and two tabulators, without control sequences, once it has what
    should be offered."""
    command = shell("zsh")
    process, terminal = pty.fork()
    if not process:
        environment = {**os.environ, "PS1": "% ", "COLUMNS": "100", "LINES": "50", "TERM": "dumb"}
        os.execve(command, [command, "-f", "-i"], environment)
    try:
        setting = f"autoload -Uz compinit; compinit -u -D; source '{script}'; LISTMAX=1000; print -r -- RE''ADY\n"
        _until(terminal, setting, ["READY"])
        return _until(terminal, f"{line}\t\t", offered)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


def _until(terminal: int, typed: str, wanted: Sequence[str]) -> str:
    """What is written after typing, until all that is wanted is there and nothing more has come for a second."""
    os.write(terminal, typed.encode())
    written, said, deadline = b"", "", time.monotonic() + 120
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        if ready:
            written += os.read(terminal, 65_536)
            said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x09\x0b-\x1f]", " ", written.decode(errors="replace"))
        elif all(text in said for text in wanted):
            return said
    raise AssertionError(said)


def test_bash_completes_commands_options_names_files_and_runs(script, place: Path):
    path = script("bash")
    assert in_bash(path, "fruits ") == {*COMMANDS, "--help", "--version"}
    assert in_bash(path, "fruits pr") == {"predict"}
    assert in_bash(path, "fruits run --pre") == {"--preset"}
    assert set(options_of(parser(("run",)), "run")) <= in_bash(path, "fruits run -")
    assert in_bash(path, "fruits run --preset f") == {"fast"}
    assert in_bash(path, "fruits run --preset=f") == {"fast"}
    assert in_bash(path, "fruits run --descriptor ") == set(descriptors.named())
    assert in_bash(path, "fruits run --words ") == set()
    assert in_bash(path, "fruits run --data pic") == {"pictures one"}
    assert in_bash(path, "fruits run --config ru") == {"run.toml"}
    assert in_bash(path, "fruits predict --json pic") == {"pictures one"}
    assert in_bash(path, "fruits show mo") == {"monday"}
    assert in_bash(path, "fruits compare ") == {"monday", "tuesday"}
    assert in_bash(path, "fruits completion ") == {"bash", "zsh", "fish"}
    assert in_bash(path, "fruits benchmark --backend k") == {"kubernetes"}


def test_bash_completes_runs_where_the_environment_says_they_are(script, place: Path, monkeypatch):
    path = script("bash")
    monkeypatch.setenv("FRUITS_OUT", "nowhere")
    assert in_bash(path, "fruits show ") == set()


def test_fish_completes_commands_options_names_files_and_runs(script, place: Path):
    path = script("fish")
    assert in_fish(path, "fruits ") == set(COMMANDS)
    assert in_fish(path, "fruits pr") == {"predict"}
    assert in_fish(path, "fruits run --pre") == {"--preset"}
    assert set(options_of(parser(("run",)), "run")) <= in_fish(path, "fruits run --")
    assert in_fish(path, "fruits run --preset f") >= {"fast"}
    assert in_fish(path, "fruits run --preset=f") == {"--preset=fast"}
    assert in_fish(path, "fruits run --descriptor ") == set(descriptors.named())
    assert in_fish(path, "fruits run --data pic") == {"pictures one/"}
    assert in_fish(path, "fruits show mo") == {"monday"}
    assert in_fish(path, "fruits completion ") == {"bash", "zsh", "fish"}


@pytest.mark.parametrize(
    ("line", "offered", "other"),
    [
        ("fruits ", ["predict", "completion", "a saved model behind HTTP"], "--words"),
        ("fruits run --voc", ["--vocabulary-sample"], "--words"),
        ("fruits run --desc", ["--descriptor"], "--words"),
        ("fruits run --preset ", ["accurate", "fast", "reference", "sift"], "--words"),
        ("fruits show ", ["monday", "tuesday"], "predict"),
        ("fruits run --config ", ["run.toml"], "--words"),
    ],
)
def test_zsh_completes_commands_options_names_files_and_runs(line, offered, other, script, place: Path):
    assert other not in in_zsh(script("zsh"), line, offered)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_script_starts_no_python(name, script):
    assert not re.search(r"python|\$\(fruits", script(name).read_text())


def test_another_shell_is_told_which_there_are(answer):
    found = answer("completion", "tcsh")
    assert found.code == 2
    assert "bash, zsh, fish" in found.sentence().replace("'", "")  # newer Pythons do without quotes
