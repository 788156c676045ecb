"""What `fruits submit` tells with `-q`, `-v` and `--json`."""

import json
from collections.abc import Callable

import pytest
from fake_cluster import RUNNING, FakeCluster, event, pod, terminated

from job.commands import main as cli

Submit = Callable[..., tuple[int, str, str]]
LOG = ["WARN a line of Spark", '{"event": "step", "operation": "read_images"}', "event=done out=x", "{not json"]


@pytest.fixture(autouse=True)
def job(cluster: FakeCluster) -> None:
    """A job that completes, of whose driver there are two events."""
    cluster.log = LOG
    cluster.scenes = [
        ("RUNNING", "", [pod("driver", RUNNING), pod("executor", RUNNING)]),
        ("COMPLETED", "", [pod("driver", terminated(0, "Completed"))]),
    ]
    cluster.events = [
        event("fruits-run-driver", "Evicted", "The node was low on memory."),
        event("fruits-run-driver", "Pulled", "Image is on the machine.", kind="Normal"),
    ]


def told(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[list[str], list[str]]:
    """Lines of the output and of the error stream, these without the seconds that they begin with."""
    assert cli.main(["submit", *options, "--", "--run-name", "one"]) == 0
    found = capsys.readouterr()
    return found.out.splitlines(), [line.split(" s  ", 1)[-1] for line in found.err.splitlines()]


def test_a_job_is_told_with_its_log_its_states_and_warnings(capsys):
    out, err = told(capsys)
    assert out == LOG
    assert "fruits-run-driver: Evicted: The node was low on memory." in err
    assert not any("Pulled" in line for line in err)
    assert any(line.startswith("RUNNING ") for line in err)
    assert err[-1] == "Done. Results: s3://fruits/out/one"


@pytest.mark.parametrize("where", ["option", "environment"])
def test_a_quiet_submission_tells_warnings_and_the_end_alone(where: str, capsys, monkeypatch):
    if where == "environment":
        monkeypatch.setenv("FRUITS_QUIET", "1")
    out, err = told(capsys, *(["-q"] if where == "option" else []))
    assert out == []
    assert err == ["fruits-run-driver: Evicted: The node was low on memory.", "Done. Results: s3://fruits/out/one"]


def test_a_verbose_submission_tells_all_events_of_the_job(capsys):
    out, err = told(capsys, "-v")
    assert out == LOG
    assert "fruits-run-driver: Pulled: Image is on the machine." in err


def test_as_json_all_is_told_by_objects_on_standard_output_and_those_of_the_job_stay_as_they_are(capsys):
    out, err = told(capsys, "--json")
    assert err == []
    events = [json.loads(line) for line in out]
    log = [one for one in events if one["event"] in ("log", "step")]
    assert log == [
        {"event": "log", "line": LOG[0]},
        {"event": "step", "operation": "read_images"},
        {"event": "log", "line": LOG[2]},
        {"event": "log", "line": LOG[3]},
    ]
    (warning,) = (one for one in events if one["event"] == "warning")
    assert warning["message"] == "fruits-run-driver: Evicted: The node was low on memory."
    assert any(one["event"] == "state" and one["message"].startswith("RUNNING ") for one in events)
    assert events[0]["event"] == "happened"
    assert (events[-1]["event"], events[-1]["out"]) == ("done", "s3://fruits/out/one")


def test_quiet_and_json_together_are_warnings_and_the_end_as_objects(capsys):
    out, err = told(capsys, "-q", "--json")
    assert err == []
    assert [json.loads(line)["event"] for line in out] == ["warning", "done"]


def test_a_failure_is_a_sentence_on_the_error_stream_whatever_else_is_told(cluster: FakeCluster, submit: Submit):
    own = "fruits: There is no bucket 'fruits'."
    cluster.log = [own]
    cluster.scenes = [("FAILED", "driver container failed", [pod("driver", terminated(1, "Error"))])]
    assert submit("-q")[::2] == (1, own)
    assert submit("--json")[::2] == (1, own)
