"""The command in processes of its own: from a shell to the end, a model in another program, a JVM that dies."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import psutil
import pytest
from running import QUICK, Answer, Results, clean_environment, fruits, need_java_of_the_machine, results

from job.engine.java import find_java

WORDS = ("--preset", "sift", "--words", "30")
LIMIT = 400


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes of this module leave."""
    return tmp_path_factory.mktemp("process")


@pytest.fixture(scope="module")
def environment(place: Path) -> dict[str, str]:
    """One of a new user, without an archive of classes."""
    return clean_environment(XDG_CACHE_HOME=str(place / "cache"))


@pytest.fixture(scope="module")
def answer_and_results(sample: Path, place: Path, environment: dict[str, str]):
    answer = fruits(
        "run",
        "--data",
        sample,
        "--out",
        place / "out",
        *WORDS,
        "--master",
        "local[2]",
        "--event-log",
        place / "events",
        environment=environment,
    )
    assert answer.code == 0, answer.err
    return answer, results(place / "out")


@pytest.fixture(scope="module")
def finished(answer_and_results) -> Results:
    return answer_and_results[1]


def test_the_command_ends_well_and_says_one_line_an_event(answer_and_results):
    answer, found = answer_and_results
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert all(line.startswith("event=") for line in lines)
    assert lines[0].startswith("event=start")
    assert lines[-1].startswith("event=done")
    assert len(lines) < 25, "a pod's log has few lines"
    assert "\x1b" not in answer.out
    assert found.manifest["accuracy"] >= 0.95
    assert found.manifest["seconds"]["start_spark"] > 0


def test_spark_s_event_log_is_where_it_was_asked_for(finished: Results, place: Path):
    (log,) = (place / "events").rglob("events_*")
    assert log.stat().st_size > 1000
    # whole: the application's end was written
    assert not list((place / "events").rglob("*.inprogress"))


def hurry(folder: Path) -> None:
    """Lets those that make an archive in a folder have their share of a machine that is never idle, if this user may:
    they leave the cores to all others."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []):
            with suppress(psutil.Error):
                process.nice(os.nice(0))


def test_a_run_that_worked_leaves_an_archive_of_classes_to_the_next(finished: Results, place: Path):
    folder = place / "cache" / "fruits-job"
    deadline = time.monotonic() + LIMIT
    while not (found := list(folder.glob("classes-*.jsa"))):  # the run did not wait for it
        assert time.monotonic() < deadline
        hurry(folder)
        time.sleep(0.5)
    (archive,) = found
    assert archive.stat().st_size > 10_000_000


def test_the_process_finds_what_the_shared_session_finds(shared, sample: Path, finished: Results, tmp_path: Path):
    assert shared("run", "--data", sample, "--out", tmp_path / "out", *WORDS, "--min-partitions", 9).code == 0
    same_outcome(results(tmp_path / "out"), finished)


def test_the_stored_model_predicts_the_same_in_another_program(sample: Path, finished: Results, tmp_path: Path):
    need_java_of_the_machine()
    program = Path(__file__).parents[1] / "stages" / "load_model.py"
    arguments = [finished.folder / "model", sample / "Test", tmp_path / "found.json"]
    done = subprocess.run(
        [sys.executable, program, *arguments],
        env=clean_environment(JDK_JAVA_OPTIONS=QUICK),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {unquote(row["ima"]).split("/Test/")[1]: row for row in json.loads((tmp_path / "found.json").read_text())}
    expected = {row["ima"].removeprefix("Test/"): row for row in finished.rows("predictions.csv")}
    assert set(found) == set(expected)
    for name, row in expected.items():
        assert found[name]["predicted_cat"] == row["predicted_cat"]
        assert found[name]["prediction"] == float(row["prediction"])
        assert found[name]["probability"] == pytest.approx(float(row["probability"]), abs=1e-6)


def same_outcome(one: Results, other: Results) -> None:
    assert one.words.tobytes() == other.words.tobytes()
    for name in ("bag_of_words_train.csv", "bag_of_words_test.csv"):
        assert one.rows(name) == other.rows(name)
    first, second = one.rows("predictions.csv"), other.rows("predictions.csv")
    assert [(row["ima"], row["predicted_cat"]) for row in first] == [
        (row["ima"], row["predicted_cat"]) for row in second
    ]
    np.testing.assert_allclose(
        [float(row["probability"]) for row in first], [float(row["probability"]) for row in second], rtol=0, atol=1e-6
    )


def test_a_jvm_that_dies_is_told_in_a_sentence_and_leaves_nothing(sample: Path, environment, tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "job",
        "run",
        "--data",
        str(sample),
        "--out",
        str(tmp_path / "out"),
        *WORDS,
        "--master",
        "local[2]",
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if line.startswith("event=step operation=start_spark"):
                (java,) = (child for child in psutil.Process(run.pid).children() if child.name() == "java")
                java.kill()
        answer = Answer(run.wait(LIMIT), "", run.stderr.read())
    assert answer.code == 1
    assert "Java process ended" in answer.sentence()
    assert "spark.driver.memory" in answer.sentence()
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "arguments", [["--data", "nowhere"], ["--preset", "sift", "--words", "1000000"]], ids=["while it starts", "later"]
)
def test_a_run_that_fails_leaves_no_java_process(arguments: list[str], sample: Path, environment, tmp_path: Path):
    folder = str(tmp_path)
    given = ["--data", sample] if "--data" not in arguments else []
    answer = fruits(
        "run",
        *given,
        *arguments,
        "--out",
        tmp_path / "out",
        environment=environment | {"TMPDIR": folder},
    )
    assert answer.code == 1

    def own(process: psutil.Process) -> bool:
        return process.info["name"] == "java" and (process.info["environ"] or {}).get("TMPDIR") == folder

    deadline = time.monotonic() + 120
    while left := list(filter(own, psutil.process_iter(["name", "environ"]))):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_a_run_that_is_told_to_end_cleans_up_after_itself(sample: Path, environment):
    """As Kubernetes deletes a driver. A user who gives up is in tests/cases/test_surroundings.py, at any moment."""
    # a path short enough for Unix sockets
    with tempfile.TemporaryDirectory(prefix="t-") as place:
        temporary, out = Path(place, "t"), Path(place, "out")
        temporary.mkdir()
        command = [sys.executable, "-m", "job", "run", "--data", str(sample), "--out", str(out), *WORDS]
        with subprocess.Popen(
            command,
            env={**environment, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            for line in run.stdout:
                if line.startswith("event=step operation=start_spark"):
                    break
            children = psutil.Process(run.pid).children(recursive=True)
            assert list(temporary.iterdir())
            run.terminate()
            run.stdout.read()
            said, code = run.stderr.read(), run.wait(LIMIT)
        assert (code, said) == (130, "fruits: Interrupted: nothing was left half-written.\n")
        _, alive = psutil.wait_procs(children, timeout=120)
        assert not alive
        assert not list(temporary.iterdir())
        assert not list(out.iterdir())


def without_vectors(home: Path) -> Path:
    """A Java that has all but the module jdk.incubator.vector, as the one of the Python registry: it refuses it."""
    real = Path(find_java()).resolve()
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        "#!/bin/sh\n"
        'case " $* " in *" --add-modules=jdk.incubator.vector "*) echo not found: jdk.incubator.vector; exit 1;; esac\n'
        f"exec '{real}' \"$@\"\n",
        encoding="utf-8",
    )
    java.chmod(0o755)
    release = (real.parent.parent / "release").read_text(encoding="utf-8")
    (home / "release").write_text(release.replace(" jdk.incubator.vector", ""), encoding="utf-8")
    return home


def test_executors_of_this_machine_start_by_a_java_without_the_module_that_spark_gives_them(
    sample: Path, place: Path, environment: dict[str, str]
):
    home = without_vectors(place / "a java's home")
    answer = fruits(
        *("run", "--data", sample, "--out", place / "executors", *WORDS, "--master", "local-cluster[1,1,1024]"),
        environment={**environment, "JAVA_HOME": str(home)},
    )
    assert answer.code == 0, answer.err
    assert results(place / "executors").manifest["accuracy"] > 0.5
