"""The archive of classes: written after the work by a process that nobody waits for."""

import fcntl
import os
import subprocess
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from job.engine import archive_maker
from job.engine.class_archive import _MOST, ClassArchive
from job.engine.java import find_java, spark_jars

LIST = "java/lang/Object id: 0\njava/lang/String id: 1\njava/util/TreeMap id: 2\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, whose name has a space and an accent."""
    monkeypatch.delenv("FRUITS_CLASS_ARCHIVE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache é"))
    return tmp_path / "my cache é" / "fruits-job"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a JVM that has written which classes it loaded."""
    (tmp_path / "jvm").mkdir()
    (tmp_path / "jvm" / "classes.list").write_text(LIST)
    return tmp_path / "jvm"


def made(place: Path, limit: float = 240.0) -> list[str]:
    """Names of what is in the cache folder once no process works there any more."""
    deadline = time.monotonic() + limit
    while any("archive_maker.py" in " ".join(process.info["cmdline"] or []) and str(place) in " ".join(
        process.info["cmdline"]
    ) for process in psutil.process_iter(["cmdline"])):  # fmt: skip
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return sorted(path.name for path in place.iterdir())


def test_a_jvm_without_an_archive_finds_the_jars_first_that_most_classes_are_in(place: Path, folder: Path):
    jars = [str(folder / name) for name in ("arrow-1.jar", "scala-library-2.jar", "spark-core_2.jar", "zstd-1.jar")]
    for jar in jars:
        Path(jar).touch()
    archive = ClassArchive(find_java(), jars)
    assert archive.classpath == [jars[1], jars[2], jars[0], jars[3]]
    name = archive.options(folder)
    assert name[0].startswith("-XX:DumpLoadedClassList=")
    archive._path.touch()
    assert archive.classpath == jars, "as it was made"


def test_no_class_of_the_jars_that_come_first_is_in_another():
    first, others = set(), set()
    for jar in spark_jars():
        with zipfile.ZipFile(jar) as content:
            names = {name for name in content.namelist() if name.endswith(".class") and not name.startswith("META-INF")}
        if Path(jar).name.startswith(_MOST):
            first |= names
        else:
            others |= names
    assert len(first) > 10_000
    assert not (first & others) - {"module-info.class"}


def test_the_first_jvm_writes_its_classes_down_and_the_next_uses_their_archive(place: Path, folder: Path):
    archive = ClassArchive(find_java(), [])
    first = archive.options(folder)
    assert first[:2] == [f"-XX:DumpLoadedClassList={folder}/classes.list", "-Xlog:cds=off"]
    done = subprocess.run([find_java(), *first, "-version"], capture_output=True, text=True, check=True)
    assert "warning" not in done.stderr + done.stdout
    archive.make_later(folder)
    name, lock = made(place)
    assert (name.startswith("classes-"), name.endswith(".jsa"), lock) == (True, True, "making.lock")
    options = ClassArchive(find_java(), []).options(folder)
    assert not any("Verification" in option for option in options)
    assert options[0] == f"-XX:SharedArchiveFile={place}/{name}"
    # Java refuses to start without an archive that it can use
    done = subprocess.run([find_java(), options[0], "-Xshare:on", "-version"], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nobody_waits_for_the_archive(place: Path, folder: Path, tmp_path: Path):
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\ntouch '{tmp_path}/begun'\nwhile [ ! -e '{tmp_path}/go' ]; do sleep 0.05; done\n")
    java.chmod(0o755)
    before = psutil.Process().children()
    ClassArchive(str(java), []).make_later(folder)
    # here again, and Java has not ended
    assert not (tmp_path / "go").exists()
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert set(psutil.Process().children()) <= set(before), "the process that makes it is none of ours"
    (tmp_path / "go").touch()
    assert made(place) == ["making.lock"]


def test_of_two_that_would_make_the_archive_one_does(place: Path, folder: Path, tmp_path: Path):
    place.mkdir(parents=True)
    archive = place / "classes-1.jsa"
    with (place / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        archive_maker.make(find_java(), archive_maker.keep(folder / "classes.list", archive), archive)
    assert [path.name for path in place.iterdir()] == ["making.lock"]
    archive_maker.make(find_java(), archive_maker.keep(folder / "classes.list", archive), archive)
    assert sorted(path.name for path in place.iterdir()) == ["classes-1.jsa", "making.lock"]


@pytest.mark.parametrize("script", ["exit 1", 'echo half > "${2#-XX:SharedArchiveFile=}"; exit 1', "exit 0"])
def test_an_archive_that_java_did_not_make_whole_is_not_there(script: str, place: Path, folder: Path, tmp_path: Path):
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\nshift\n{script}\n")
    java.chmod(0o755)
    place.mkdir(parents=True)
    archive_maker.make(str(java), archive_maker.keep(folder / "classes.list", place / "a.jsa"), place / "a.jsa")
    assert [path.name for path in place.iterdir()] == ["making.lock"]


def test_what_killed_processes_have_left_is_removed_and_the_newest_archives_are_kept(place: Path, folder: Path):
    place.mkdir(parents=True)
    for number in range(5):
        (place / f"classes-{number}.jsa").touch()
        os.utime(place / f"classes-{number}.jsa", (number, number))
    for name in ("making.jsa", "classes-new-12.list"):
        (place / name).write_text("half")
    archive = place / "classes-new.jsa"
    archive_maker.make(find_java(), archive_maker.keep(folder / "classes.list", archive), archive)
    assert sorted(path.name for path in place.iterdir()) == [
        "classes-3.jsa",
        "classes-4.jsa",
        "classes-new.jsa",
        "making.lock",
    ]


def test_half_a_last_line_of_a_killed_jvm_is_left_out(place: Path, folder: Path):
    place.mkdir(parents=True)
    with (folder / "classes.list").open("a") as file:
        file.write("java/util/TreeM")
    assert archive_maker.keep(folder / "classes.list", place / "a.jsa").read_text() == LIST


def test_a_cache_folder_that_can_not_be_made_is_no_fault(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.delenv("FRUITS_CLASS_ARCHIVE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    archive = ClassArchive(find_java(), [])
    assert archive.options(folder) == []
    archive.make_later(folder)


def test_a_cache_folder_that_goes_away_during_the_run_is_no_fault(place: Path, folder: Path):
    archive = ClassArchive(find_java(), [])
    place.rmdir()
    archive.make_later(folder)
    assert not place.exists()


def test_it_can_be_turned_off(place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRUITS_CLASS_ARCHIVE", "off")
    archive = ClassArchive(find_java(), [])
    assert archive.options(folder) == []
    archive.make_later(folder)
    assert not place.exists()
