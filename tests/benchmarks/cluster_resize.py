"""Executors that come in mid-run: how much faster pictures are described once there are four in place of two.

Submits one run with dynamic allocation, which begins with two executors and asks for two more when tasks have waited
for 8 seconds, and reads Spark's event log: tasks of extraction done in a second before the first of the new executors
worked, and since the last of them did. The pictures are in a store that this machine and the cluster reach.

    python tests/benchmarks/cluster_resize.py --data s3://fruits/pictures --out s3://fruits/out --namespace fruits \\
        --image fruits-job:latest -- --words 50 --descriptor sift
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence

from measure import add_results_option, record

from job import storage
from job.benchmark import events
from job.benchmark.events import Task
from job.experiment.run import default_run_name

FIELDS = (
    "dynamicAllocation.enabled=true",
    "dynamicAllocation.initialExecutors=2",
    "dynamicAllocation.minExecutors=2",
    "dynamicAllocation.maxExecutors=4",
    "sparkConf.spark.dynamicAllocation.shuffleTracking.enabled=true",
    "sparkConf.spark.dynamicAllocation.schedulerBacklogTimeout=8s",
)


def rates(tasks: Sequence[Task]) -> dict[str, float]:
    """Tasks of extraction that ended a second: on the executors that were there first, and on all."""
    own = [task for task in tasks if task[:2] == ("extract_descriptors", "train")]
    largest = max({task.stage for task in own}, key=lambda stage: sum(task.stage == stage for task in own))
    own = [task for task in own if task.stage == largest]
    first = {name: min(task.launched for task in own if task.executor == name) for name in {task[3] for task in own}}
    begin, end = min(first.values()), max(task.launched for task in own)
    late = sorted(moment for moment in first.values() if moment > begin + 1.0)
    if not late:
        raise SystemExit("No executor came during extraction: give more pictures.")

    def rate(since: float, until: float) -> float:
        # each task by the part of it that lies in that time
        return sum(
            max(0.0, min(task.ended, until) - max(task.launched, since)) / (task.ended - task.launched) for task in own
        ) / (until - since)

    return {
        "executors_before": len(first) - len(late),
        "executors_after": len(first),
        "tasks_a_second_before": rate(begin, late[0]),
        "tasks_a_second_after": rate(late[-1], end),
        "new_executors_worked_after_s": late[-1] - begin,
        "extraction_s": max(task.ended for task in own) - begin,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--namespace", default="fruits")
    parser.add_argument("--image", required=True)
    parser.add_argument("--core-limit", default="500m", help="CPU of each executor (500m)")
    parser.add_argument("arguments", nargs="*")
    add_results_option(parser)
    asked = parser.parse_args()
    name = f"resize-{default_run_name()}"
    log = storage.join(asked.out, f"events/{name}")
    fields = [*FIELDS, f"executor.coreRequest={asked.core_limit}", f"executor.coreLimit={asked.core_limit}"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "job",
            "submit",
            "--name",
            "fruits-resize",
            "--namespace",
            asked.namespace,
            "--image",
            asked.image,
            *(item for field in fields for item in ("--set", field)),
            "--",
            "--data",
            asked.data,
            "--out",
            asked.out,
            "--run-name",
            name,
            "--event-log",
            log,
            "--conf",
            "spark.eventLog.compress=false",
            "--conf",
            "spark.eventLog.rolling.enabled=false",
            *asked.arguments,
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    application = re.search(r"\bapplication=(\S+)", done.stdout)
    assert application, done.stdout[-2000:]
    lines = storage.read_bytes(storage.join(log, application[1])).decode().splitlines()
    found = rates(events.read(lines).tasks)
    print(
        f"{found['executors_before']:.0f} executors: {found['tasks_a_second_before']:.2f} tasks a second; "
        f"{found['executors_after']:.0f}: {found['tasks_a_second_after']:.2f}, "
        f"{found['tasks_a_second_after'] / found['tasks_a_second_before']:.2f} times as many"
    )
    record("cluster_resize", found, asked.results)


if __name__ == "__main__":
    main()
