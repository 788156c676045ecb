"""What a container does, told by its first argument, its uid and its signals."""

import ast
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from containers import RESTRICTED, logs, python, run, running, tool, until

# A stranger to the image: no name, no home, no file of its own.
STRANGER = (
    "--user=54321:54321",
    *(("--passwd=false",) if "podman" in os.environ.get("FRUITS_CONTAINER_TOOL", "podman") else ()),
)
DRIVER = {"SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1"}
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@127.0.0.1:9",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "1",
    "SPARK_EXECUTOR_MEMORY": "300m",
    "SPARK_APPLICATION_ID": "spark-abc",
    "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
    "SPARK_EXECUTOR_POD_NAME": "pod-3",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_JAVA_OPT_0": "-Dfruits.first=1",
    "SPARK_JAVA_OPT_10": "-Dfruits.value=ten",
    "SPARK_JAVA_OPT_2": "-Dfruits.value=a b",
}


def variables(given: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"--env={name}={value}" for name, value in given.items())


def test_nothing_gives_the_help_of_the_command() -> None:
    assert run().succeeded().out.startswith("usage: fruits")


def test_an_option_goes_to_the_command() -> None:
    from job import __version__

    assert run("--version").succeeded().out.strip() == f"fruits {__version__}"


def test_a_command_that_is_none_of_ours_is_started_as_it_stands() -> None:
    assert (
        run("python", "-c", "import sys; print(sys.argv)", "a b", "*").succeeded().out.strip() == "['-c', 'a b', '*']"
    )


@pytest.mark.parametrize("code", [0, 1, 7, 137])
def test_the_exit_code_is_the_commands(code: int) -> None:
    assert run("python", "-c", f"raise SystemExit({code})").code == code


def test_wrong_usage_ends_with_exit_code_2_and_one_sentence() -> None:
    answer = run("run", "--words", "many")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "--words is 'many'" in answer.err


def test_work_that_fails_ends_with_exit_code_1_and_one_sentence() -> None:
    answer = run("run", "--data", "/nowhere")
    assert (answer.code, answer.err.count("\n")) == (1, 1), answer.err
    assert "/nowhere" in answer.err


def test_a_program_that_is_missing_ends_with_exit_code_127() -> None:
    assert run("no-such-program").code == 127


def test_doctor_finds_no_fault() -> None:
    answer = run("doctor")
    assert answer.code == 0, answer.out + answer.err
    for subject in ("Java", "Spark", "S3 for Spark", "SIFT", "ORB", "SURF"):
        assert f"ok       {subject} " in answer.out, answer.out


@pytest.mark.parametrize("user", [(), STRANGER, ("--user=0:0",)], ids=["spark", "stranger", "root"])
def test_java_knows_the_user_whatever_uid_is_mapped(user: tuple[str, ...]) -> None:
    program = (
        "from pyspark.sql import SparkSession; s = SparkSession.builder.master('local[1]').getOrCreate(); "
        "print(s.sparkContext.sparkUser())"
    )
    answer = run("python", "-c", program, options=(*RESTRICTED, *user))
    assert answer.succeeded().out.strip() in ("spark", "root")


def test_a_driver_is_submitted_with_its_address_and_runs_the_program(pictures: Path, results: Path) -> None:
    (results / "spark.properties").write_text("spark.fruits.mark=seen\n")
    mounts = ("-v", f"{pictures}:/data:ro", "-v", f"{results}:/results")
    answer = run(
        "driver",
        "--master",
        "local[2]",
        "--properties-file",
        "/results/spark.properties",
        "local:///opt/fruits/main.py",
        "run",
        "--data",
        "/data",
        "--out",
        "/results",
        "--run-name",
        "driver",
        "--preset",
        "fast",
        options=(*RESTRICTED, *variables(DRIVER), *mounts),
    )
    answer.succeeded()
    assert "entrypoint: driver at 127.0.0.1" in answer.err
    manifest = json.loads((results / "driver" / "manifest.json").read_text())
    assert manifest["dataset"]["train"]["images"] == 45


def test_settings_mounted_for_a_driver_are_read(tmp_path: Path) -> None:
    """Spark's configuration map: log4j2.properties is found on the class path, spark.properties is named."""
    (tmp_path / "spark.properties").write_text(
        "spark.master=local[1]\nspark.driver.memory=555m\nspark.fruits.mark=seen\n"
    )
    (tmp_path / "log4j2.properties").write_text(
        "appender.c.type=Console\nappender.c.name=c\nappender.c.layout.type=PatternLayout\n"
        "appender.c.layout.pattern=MARKED %m%n\nrootLogger.level=info\nrootLogger.appenderRef.c.ref=c\n"
    )
    (tmp_path / "main.py").write_text(
        "from pyspark.sql import SparkSession\ns = SparkSession.builder.getOrCreate()\n"
        "print(s.conf.get('spark.fruits.mark'), s._jvm.Runtime.getRuntime().maxMemory() >> 20)\n"
    )
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755)
    answer = run(
        "driver",
        "--properties-file",
        "/opt/spark/conf/spark.properties",
        "/opt/spark/conf/main.py",
        options=(
            *RESTRICTED,
            *variables(
                {**DRIVER, "SPARK_CONF_DIR": "/opt/spark/conf", "JDK_JAVA_OPTIONS": "-Xlog:cds=info:file=/dev/stderr"}
            ),
            "-v",
            f"{tmp_path}:/opt/spark/conf:ro",
        ),
    )
    answer.succeeded()
    mark, memory = (
        answer.out.splitlines()[-1].split()
        if "MARKED" not in answer.out.splitlines()[-1]
        else next(line for line in answer.out.splitlines() if line.startswith("seen")).split()
    )
    assert mark == "seen"
    assert 500 <= int(memory) <= 560
    assert "MARKED Running Spark" in answer.out + answer.err
    assert "mismatch" not in answer.err, "the class archive was not taken"


@pytest.mark.parametrize(
    ("asked", "environment", "found"),
    [
        ("", "", {"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}),
        ("-XX:TieredStopAtLevel=4 -XX:+UseParallelGC", "", {"-XX:TieredStopAtLevel=4", "-XX:+UseParallelGC"}),
        ("", "-XX:+UseG1GC", {"-XX:TieredStopAtLevel=1", "-XX:+UseG1GC"}),
    ],
    ids=["by itself", "asked of Spark", "asked of Java"],
)
def test_a_drivers_jvm_starts_fast_unless_something_else_is_asked_for(
    asked: str, environment: str, found: set[str]
) -> None:
    program = (
        "from pyspark.java_gateway import launch_gateway\n"
        "jvm = launch_gateway().jvm\n"
        "print(*jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments())"
    )
    command = f"printf '%s' \"$1\" >/tmp/p.py; exec /opt/entrypoint.sh driver --driver-java-options '{asked}' /tmp/p.py"
    extra = variables({**DRIVER, **({"JDK_JAVA_OPTIONS": environment} if environment else {})})
    answer = run("bash", "-c", command, "-", program, options=(*RESTRICTED, *extra)).succeeded()
    options = answer.out.split()
    assert {one for one in options if one.startswith("-XX:Tiered") or one.endswith("GC")} == found
    assert environment or "NOTE" not in answer.err


def test_an_executor_says_who_it_is_and_ends_when_there_is_no_driver() -> None:
    answer = run("executor", options=(*RESTRICTED, *variables(EXECUTOR)))
    assert answer.code not in (0, 2, 126, 127)
    assert "entrypoint: executor 3 of spark-abc, 1 cores" in answer.err
    assert "Failed to connect" in answer.out + answer.err or "Connection refused" in answer.out + answer.err


def test_an_executors_options_keep_their_order_and_their_spaces() -> None:
    # a JVM that waits before it begins, since without a driver it would soon be over
    paused = {"SPARK_JAVA_OPT_20": "-XX:+UnlockDiagnosticVMOptions", "SPARK_JAVA_OPT_21": "-XX:+PauseAtStartup"}
    given = variables({**EXECUTOR, **paused, "SPARK_EXTRA_CLASSPATH": "/extra.jar"})
    with running("executor", options=(*RESTRICTED, *given)) as name:
        program = (
            "import contextlib, glob\nfor f in glob.glob('/proc/[0-9]*/cmdline'):\n  c = ['']\n"
            "  with contextlib.suppress(OSError): c = open(f).read().split('\\0')\n"  # it may have ended since
            "  if any('ExecutorBackend' in w for w in c) and c[0].endswith('java.bin'): print(repr(c))"
        )
        seen: list[str] = []
        until(120, "its JVM", lambda: seen.append(python(name, program)) or seen[-1])
    words: list[str] = ast.literal_eval(seen[-1])
    assert [word for word in words if word.startswith("-Dfruits")] == [
        "-Dfruits.first=1",
        "-Dfruits.value=a b",
        "-Dfruits.value=ten",
    ]
    classpath = words[words.index("-cp") + 1].split(":")
    jars = [entry for entry in classpath if entry.startswith("/opt/spark/jars/")]
    assert classpath[: len(jars)] == sorted(jars)
    assert "/extra.jar" in classpath
    assert words[words.index("--podName") + 1] == "pod-3"


def test_decommissioning_without_an_executor_says_so() -> None:
    answer = run("/opt/decom.sh").succeeded()
    assert "no executor here" in answer.err


def test_decommissioning_asks_the_executor_and_waits_until_it_is_gone() -> None:
    """A process that looks like an executor, and needs a second to hand over what it has."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGPWR, lambda *_: (print('asked', flush=True), time.sleep(1), sys.exit(0)))\n"
        "print('ready', flush=True)\nwhile True: time.sleep(0.1)"
    )
    with running("python", "-c", program, "java", "KubernetesExecutorBackend") as name:
        until(120, "the process", lambda: "ready" in logs(name))
        begun = time.monotonic()
        tool("exec", name, "/opt/decom.sh")  # which ends when the executor has
        assert 0.8 < time.monotonic() - begun < 10
        until(120, "its end", lambda: "asked" in logs(name))


def test_the_history_server_shows_a_finished_run(pictures: Path, results: Path) -> None:
    mounts = ("-v", f"{pictures}:/data:ro", "-v", f"{results}:/results")
    (results / "events").mkdir(mode=0o777)
    (results / "events").chmod(0o777)
    work = ("--preset", "fast", "--data", "/data", "--out", "/results", "--event-log", "/results/events")
    run("run", *work, options=(*RESTRICTED, *mounts)).succeeded()
    options = (*RESTRICTED, *mounts, "--env=SPARK_HISTORY_OPTS=-Dspark.history.fs.logDirectory=file:///results/events")
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:18080{}', timeout=50).read().decode())"
    with running("history-server", options=options) as name:
        until(240, "the history server", lambda: tool("exec", name, "python", "-c", ask.format("/")).returncode == 0)
        listed = json.loads(python(name, ask.format("/api/v1/applications")))
        assert [application["attempts"][0]["completed"] for application in listed] == [True]
        identity = listed[0]["id"]
        for what in ("jobs", "stages", "allexecutors"):
            assert json.loads(python(name, ask.format(f"/api/v1/applications/{identity}/{what}"))), what
        assert "timeline" in python(name, ask.format(f"/history/{identity}/jobs/"))
        assert "entrypoint: history server" in logs(name)


@pytest.mark.parametrize("role", ["run", "history-server", "driver"])
def test_a_stop_takes_less_than_10_seconds_and_leaves_nothing(role: str, pictures: Path, results: Path) -> None:
    mounts = ("-v", f"{pictures}:/data:ro", "-v", f"{results}:/results")
    work = ("--data", "/data", "--out", "/results", "--words", "400")
    arguments = {
        "run": ("run", *work),
        "history-server": ("history-server",),
        "driver": ("driver", "--master", "local[2]", "local:///opt/fruits/main.py", "run", *work),
    }[role]
    options = (
        *RESTRICTED,
        *mounts,
        *variables({**DRIVER, "SPARK_HISTORY_OPTS": "-Dspark.history.fs.logDirectory=file:///results"}),
    )
    with running(*arguments, options=options) as name:
        until(
            240,
            "a JVM",
            lambda: "java.bin" in tool("top", name, "comm").stdout or "java" in tool("top", name, "comm").stdout,
        )
        time.sleep(3)
        root = int(tool("inspect", "--format", "{{.State.Pid}}", name).stdout)
        space = name_space(Path(f"/proc/{root}"))
        before = alive(space) if space else set()
        begun = time.monotonic()
        tool("stop", "--time", "30", name)
        assert time.monotonic() - begun < 10
        assert int(tool("inspect", "--format", "{{.State.ExitCode}}", name).stdout) in (0, 1, 130, 143)
        until(120, "the end of its processes", lambda: not before & alive())
    assert not list(results.rglob("manifest.json"))


def name_space(process: Path) -> int | None:
    """The process name space of a process; none where it has ended or is not on this machine."""
    try:
        return (process / "ns" / "pid").stat().st_ino
    except OSError:
        return None


def alive(space: int | None = None) -> set[tuple[str, str]]:
    """Processes of this machine by their number and the time they were started at: all, or those of a name space."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if space is None or name_space(process) == space:
                found.add((process.name, (process / "stat").read_text().rpartition(")")[2].split()[19]))
    return found
