"""The JVM of a local run: launched, connected to and ended by this process."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from running import QUICK, clean_environment

from job.engine import jvm as jvms
from job.engine.configuration import Configuration
from job.engine.jvm import Jvm
from job.errors import UserError

CONF = {"spark.driver.extraJavaOptions": QUICK}


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Temporary files in a folder of the test, and no archive of classes."""
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    monkeypatch.setenv("FRUITS_CLASS_ARCHIVE", "off")
    for name in ("PYSPARK_GATEWAY_PORT", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Makes a `java` out of a shell script, which JAVA_HOME then names."""

    def make(script: str) -> None:
        home = tmp_path / "java"
        (home / "bin").mkdir(parents=True)
        (home / "release").write_text('JAVA_VERSION="17.0.1"\n')
        (home / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
        (home / "bin" / "java").chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(home))

    return make


def failure(limit: float = 20.0) -> str:
    """What is told of a JVM that does not start, within a time."""
    begun = time.monotonic()
    jvm = Jvm(Configuration.make(master="local[1]"))
    with pytest.raises(UserError) as caught:
        jvm.connect()
    assert time.monotonic() - begun < limit
    return caught.value.message


def test_a_jvm_that_never_listens_is_given_up_in_time_and_its_reason_told(java, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(jvms, "_START_LIMIT", 3.0)  # within which what it says is heard
    java("echo 'waiting for a licence' >&2\nexec sleep 300")
    assert failure(7.0) == (
        "Java did not start Spark within 3 s (waiting for a licence): check `java -version` (17 or 21)."
    )
    assert not list((tmp_path / "t").iterdir())


def test_a_jvm_that_says_much_before_it_listens_is_not_blocked(java, tmp_path: Path):
    java(r"""
i=0
while [ $i -lt 4000 ]; do echo 'a warning of some fifty characters, again and again' >&2; i=$((i+1)); done
place=$_PYSPARK_DRIVER_CONN_INFO_PATH
printf '\0\0\4\322\0\0\0\3key' > "$place.part"; mv "$place.part" "$place"; exec sleep 300""")
    jvm = Jvm(Configuration.make(master="local[1]"))
    try:
        assert jvm.connect() == ("1234", "key")
    finally:
        jvm.stop(at_once=True)


@pytest.mark.parametrize("noise", [
    "Picked up _JAVA_OPTIONS: -Xmx1g",
    "NOTE: Picked up JDK_JAVA_OPTIONS: -Xmx1g",
    'Setting default log level to "WARN".',
    "WARNING: Using incubator modules: jdk.incubator.vector",
])  # fmt: skip
def test_the_reason_is_what_went_wrong_and_not_what_is_always_said(noise: str, java):
    java(f"echo '{noise}' >&2; echo 'Error: Could not reserve enough space' >&2; exit 1")
    assert failure().startswith("Java could not start Spark: Error: Could not reserve enough space; check")


def test_a_jvm_that_gets_no_thread_and_waits_for_it_is_ended(java):
    said = '[7.5s][warning][os,thread] Failed to start the native thread for java.lang.Thread "dispatcher"'
    java(f"echo '{said}'\nexec sleep 300")
    assert failure().startswith("Java could get no more memory, or no more threads, from this machine: free some, or ")


def test_a_jvm_that_says_nothing_has_given_no_reason(java):
    java("exit 1")
    assert failure().startswith("Java could not start Spark: it gave no reason; check")


def test_too_much_memory_is_told_as_java_tells_it(monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dharmless=1")
    jvm = Jvm(Configuration.make(master="local[1]", conf={"spark.driver.memory": "900000t"}))
    with pytest.raises(UserError, match=r"could not start Spark: (Invalid maximum heap|Could not reserve enough)"):
        jvm.connect()


@pytest.mark.parametrize("name", ["JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"])
def test_a_collector_chosen_in_the_environment_is_the_only_one(name: str, monkeypatch):
    monkeypatch.setenv(name, "-XX:+UseG1GC")
    jvm = Jvm(Configuration.make(master="local[1]", for_command=True))
    try:
        port, secret = jvm.connect()
    finally:
        jvm.stop(at_once=True)
    assert int(port) > 0
    assert len(secret) > 20


def test_only_jvms_of_a_command_on_this_machine_have_one_compiler_and_a_collector_of_one_thread(tmp_path: Path):
    def options(*, for_command: bool, master: str = "local[1]", **conf: str) -> list[str]:
        own = {f"spark.executor.{name}": value for name, value in conf.items()}
        made = Configuration.make(master=master, for_command=for_command, conf=own)
        return jvms._options(made, tmp_path, debug=False)

    def of_executors(**conf: str) -> str:
        start = "-Dspark.executor.defaultJavaOptions="
        (found,) = (
            option.removeprefix(start)
            for option in options(for_command=True, master="local-cluster[2,1,1024]", **conf)
            if option.startswith(start)
        )
        return found

    chosen = {"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}
    for master in ("local[1]", "local-cluster[2,1,1024]"):
        assert chosen <= set(options(for_command=True, master=master))
        assert "-XX:" not in " ".join(options(for_command=False, master=master)).replace("-XX:ErrorFile", "").replace(
            "-XX:+IgnoreUnrecognizedVMOptions", ""
        )
    for master in ("spark://a:7077", "k8s://https://a"):
        found = options(for_command=True, master=master)
        assert not chosen & set(found)
        assert not [option for option in found if option.startswith("-Dspark.executor.defaultJavaOptions")]
    assert of_executors() == "-XX:-UsePerfData -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    assert of_executors(extraJavaOptions="-XX:+UseG1GC") == "-XX:-UsePerfData -XX:TieredStopAtLevel=1"
    of_others = "-XX:+UseParallelGC -Da=1"
    assert of_executors(defaultJavaOptions=of_others) == f"-XX:-UsePerfData -XX:TieredStopAtLevel=1 {of_others}"


def test_no_setting_is_in_a_command_line_and_the_file_with_them_is_this_user_s_alone(tmp_path: Path):
    secret = "TOPSECRET"
    jvm = Jvm(Configuration.make(master="local[1]", conf={**CONF, "spark.hadoop.fs.s3a.secret.key": secret}))
    try:
        (file,) = (tmp_path / "t").glob("fruits-*/java-options")
        assert file.stat().st_mode & 0o777 == 0o600
        assert f'"-Dspark.hadoop.fs.s3a.secret.key={secret}"' in file.read_text()
        jvm.connect()
        process = psutil.Process(jvm._process.pid)
        assert process.name() == "java"
        assert secret not in " ".join(process.cmdline())
        assert not file.exists()
    finally:
        jvm.stop(at_once=True)
    assert not list((tmp_path / "t").iterdir())


@pytest.mark.parametrize("value", ["a b", 'say "hello"', "C:\\new\\table", "two\nlines", "#1 $HOME '*'", "é", ""])
def test_options_of_any_characters_reach_java_as_they_are(value: str, tmp_path: Path):
    program = tmp_path / "Show.java"
    program.write_text(
        "public class Show { public static void main(String[] a) throws Exception {"
        'System.out.write(System.getProperty("x").getBytes("UTF-8")); } }'
    )
    if shutil.which("javac") is None:
        pytest.skip("there is no Java compiler")
    file = jvms._argument_file(tmp_path, [f"-Dx={value}", "-Dfile.encoding=UTF-8"])
    done = subprocess.run(
        ["java", f"@{file}", str(program)], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.stdout.decode() == value


def test_a_machine_whose_name_has_no_address_can_make_a_local_session():
    program = (
        "from job.engine.configuration import Configuration\nfrom job.engine.session import session\n"
        "with session(Configuration.make(master='local[1]', for_command=True)) as spark: print(spark.range(7).count())"
    )
    command = [
        "unshare",
        "-u",
        "sh",
        "-c",
        'hostname no-such-host-xyz && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        program,
    ]
    if subprocess.run(["unshare", "-u", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user can't name the machine otherwise")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment(), timeout=400)
    assert done.stdout.split() == ["7"], done.stderr


def test_a_machine_without_an_address_is_told_in_a_sentence(java):
    java("""cat >&2 <<'END'
Setting default log level to "WARN".
Exception in thread "main" java.lang.ExceptionInInitializerError
\tat org.apache.spark.X(X.scala)
Caused by: java.net.UnknownHostException: abc: abc: Name or service not known
\t... 9 more
END
exit 1""")
    assert failure() == (
        "Java could not start Spark: the name of this machine has no address (java.net.UnknownHostException: abc: abc: "
        "Name or service not known); add it to /etc/hosts, or set SPARK_LOCAL_IP=127.0.0.1."
    )


def test_workers_of_the_command_take_nothing_from_the_folder_where_it_is():
    environment = jvms._own_modules_first({"PYTHONPATH": "/mine"})
    assert environment["PYTHONSAFEPATH"] == "1"
    assert re.fullmatch(r".+:/mine", environment["PYTHONPATH"])


@pytest.mark.parametrize(
    ("environment", "more"),
    [
        ({}, {"LC_ALL": "C.UTF-8"}),
        ({"LC_ALL": "C", "LANG": "fr_FR.UTF-8"}, {"LC_ALL": "C.UTF-8"}),
        ({"LANG": "fr_FR.UTF-8"}, {}),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8"}, {}),
    ],
)
def test_java_has_a_locale_that_can_spell_any_file_name(environment: dict[str, str], more: dict[str, str]):
    assert jvms._utf8(environment) == more
