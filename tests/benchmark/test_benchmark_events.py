"""Spark's event log as tasks and executors."""

import json

from job.benchmark import events
from job.benchmark.events import Task


def line(kind: str, **more: object) -> str:
    return json.dumps({"Event": f"SparkListener{kind}", **more})


def task_end(stage: int, launched: int, ended: int, python: int | None = None, *, failed: bool = False) -> str:
    # two Python workers, one behind the other
    sums = (
        [
            {"Name": "time to run Python workers", "Update": str(python - 100)},
            {"Name": "data sent to Python workers", "Update": "9"},
            {"Name": "time to run Python workers", "Update": "100"},
            {},
        ]
        if python is not None
        else []
    )
    return line(
        "TaskEnd",
        **{
            "Stage ID": stage,
            "Task Metrics": {"Executor Run Time": 300},
            "Task Info": {
                "Launch Time": launched,
                "Finish Time": ended,
                "Executor ID": "2",
                "Failed": failed,
                "Accumulables": sums,
            },
        },
    )


LOG = [
    line("LogStart"),
    line("ApplicationStart", Timestamp=10_000),
    line("ExecutorAdded", **{"Timestamp": 12_500, "Executor ID": "2"}),
    line("JobStart", **{"Stage IDs": [0, 1], "Properties": {"spark.jobGroup.id": "extract_descriptors train 7fe7"}}),
    line("JobStart", **{"Stage IDs": [2], "Properties": {}}),
    task_end(1, 14_000, 15_000),
    task_end(0, 13_000, 14_000, python=600),
    task_end(0, 13_000, 13_500, failed=True),
    '{"Event": "SparkListenerTaskE',
]


def test_the_event_log_tells_tasks_and_executors():
    found = events.read(LOG)
    assert found.executors == {"2": 2.5}
    assert found.tasks == [
        Task("extract_descriptors", "train", 0, "2", 3.0, 4.0, 0.6),
        Task("extract_descriptors", "train", 1, "2", 4.0, 5.0, 0.3),
    ]


def test_an_empty_event_log_has_no_tasks():
    assert events.read([]) == events.Log([], {})
