"""What the cluster adds to a run: seconds from `kubectl apply` to COMPLETED, beside the same run in one pod.

Pictures of `--data` are put into the store of the chart, which must be installed (`helm install`, as README.md says) in
the cluster of FRUITS_TEST_KUBECONFIG (else of .ci/cluster).
Then, by turns, k8s/sparkapplication.yaml is applied with these pictures and two executors, and one pod of the same
image runs the same on `local[2]`; where the seconds of both go is printed.

    python tests/benchmarks/cluster_start.py --data fruits-360 --categories Lemon,Orange,Raspberry \\
        --train-images 150 --test-images 300 --repeats 3 -- --preset reference --words 30

The run in one pod counts from the start of its container to its end. The first turn of each kind, in which the node
reads the image from its disk, is left out.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from measure import add_results_option, record, spread
from pictures import choose, stage

from job.cluster import application
from job.storage.upload import upload

sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))
import kube

NAME, POD = "cluster-start", "cluster-start-alone"
# What the job's log says when a part of it is done.
_SAID = {
    "Python ready": "event=start ",
    "Spark ready": "event=step operation=start_spark",
    "training pictures described": "event=step operation=extract_descriptors split=train",
    "test pictures scored": "event=step operation=evaluate",
    "results written": "event=done",
}

Moments = dict[str, float]


def fill(options: argparse.Namespace, uri: str) -> None:
    """Puts the chosen pictures into the cluster's store."""
    with tempfile.TemporaryDirectory() as folder, kube.store() as environment:
        for split, images in (("train", options.train_images), ("test", options.test_images)):
            stage(options.data, choose(options.data, split, options.categories, images), Path(folder))
        os.environ.update(environment)
        upload(folder, uri)


def turn(document: kube.Document) -> tuple[Moments, Moments]:
    """Moments of one run on the cluster, and of one in a single pod."""
    begun, clock = datetime.now(UTC), time.perf_counter()
    spec = document["spec"]
    spec = {**spec, "arguments": [*spec["arguments"], "--run-name", f"{NAME}-{begun:%H-%M-%S}"]}
    kube.kubectl("apply", "-f", "-", text=json.dumps({**document, "spec": spec}))
    try:
        kube.kubectl(
            "wait",
            "--for=jsonpath={.status.applicationState.state}=COMPLETED",
            f"sparkapplication/{NAME}",
            "--timeout=170s",
            timeout=180,
        )
        seconds = time.perf_counter() - clock
        moments = {**of_application(NAME, begun), "COMPLETED": seconds}
    finally:
        kube.kubectl("delete", "sparkapplication", NAME)
        kube.until(60, "its pods are gone", lambda: not kube.get("pods", "-l", "spark-role")["items"])
    return moments, alone(document)


def of_application(name: str, begun: datetime) -> Moments:
    """Seconds from `begun` to each moment of a completed SparkApplication, in their order.

    Those of the log are exact, the others, which the API server keeps in whole seconds, up to a second too small.
    """
    application, driver = kube.get("sparkapplication", name), kube.get("pod", f"{name}-driver")
    ended = driver["status"]["containerStatuses"][0]["state"]["terminated"]
    made = {
        "driver's pod made": _time(driver["metadata"]["creationTimestamp"]),
        "driver's container started": _time(ended["startedAt"]),
        **_log(f"{name}-driver"),
    }
    started = [
        _time(event["firstTimestamp"])
        for event in kube.get("events")["items"]
        if event["reason"] == "Started"
        and event["firstTimestamp"]
        and event["involvedObject"]["name"] in application["status"]["executorState"]
    ]
    if started:
        made["executors' containers started"] = max(started)
    made |= {
        "driver's container ended": _time(ended["finishedAt"]),
        "COMPLETED": _time(application["status"]["terminationTime"]),
    }
    return _since(begun, made)


def alone(application: kube.Document) -> Moments:
    """Seconds from the start of its container to each moment of the same run in one pod on `local[2]`."""
    driver = application["spec"]["driver"]["template"]["spec"]
    (container,) = driver["containers"]
    arguments = [
        *application["spec"]["arguments"],
        "--run-name",
        f"{POD}-{datetime.now(UTC):%H-%M-%S}",
        "--master",
        "local[2]",
    ]
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": kube.NAMESPACE},
        "spec": {
            **driver,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [
                {**container, "name": POD, "image": application["spec"]["image"], "args": ["fruits", *arguments]}
            ],
        },
    }
    kube.kubectl("apply", "-f", "-", text=json.dumps(document))
    try:
        kube.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{POD}", "--timeout=170s", timeout=180)
        ended = kube.get("pod", POD)["status"]["containerStatuses"][0]["state"]["terminated"]
        return _since(_time(ended["startedAt"]), {**_log(POD), "container ended": _time(ended["finishedAt"])})
    finally:
        kube.kubectl("delete", "pod", POD, "--now")


def table(cluster: Moments, one: Moments) -> str:
    """Both, line by line: the moment, its second on the cluster, its second in one pod."""
    lines = [f"{'':30} {'cluster':>8} {'one pod':>8}"]
    for name in [*cluster, *(name for name in one if name not in cluster)]:
        cells = [f"{moments[name]:8.1f}" if name in moments else " " * 8 for moments in (cluster, one)]
        lines.append(f"{name:30} {cells[0]} {cells[1]}")
    return "\n".join(lines)


def _log(pod: str) -> dict[str, datetime]:
    lines = [line.partition(" ") for line in kube.kubectl("logs", pod, "--timestamps").splitlines()]
    return {name: _time(next(line[0] for line in lines if line[2].startswith(start))) for name, start in _SAID.items()}


def _since(begun: datetime, moments: dict[str, datetime]) -> Moments:
    seconds = {name: (moment - begun).total_seconds() for name, moment in moments.items()}
    return dict(sorted(seconds.items(), key=lambda pair: pair[1]))


def _time(text: str) -> datetime:
    """A time of the API server; those of logs have nanoseconds, of which six digits are kept."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(
        microsecond=int((rest or "0")[:6].ljust(6, "0")), tzinfo=UTC
    )


def medians(turns: Sequence[Moments]) -> Moments:
    return {name: statistics.median(moments[name] for moments in turns if name in moments) for name in turns[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--categories", type=lambda text: text.split(","), default=[])
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--test-images", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--image", default=kube.IMAGE)
    parser.add_argument("--set", action="append", default=[], dest="fields", help="as of `fruits submit`")
    add_results_option(parser)
    parser.add_argument("arguments", nargs="*", help="further arguments of `fruits run`")
    options = parser.parse_args()

    uri = f"s3://fruits/{NAME}"
    fill(options, uri)
    wanted = application.Wanted(name=NAME, image=options.image, executors=2, fields=tuple(options.fields))
    document = application.prepare(
        application.load(application.shipped()), wanted, ["--data", uri, *options.arguments], NAME
    )
    turns = [turn(document) for _ in range(options.repeats + 1)][1:]
    cluster, alone = ([pair[place] for pair in turns] for place in (0, 1))
    more = [ours["COMPLETED"] - theirs["container ended"] for ours, theirs in zip(cluster, alone, strict=True)]
    best = more.index(min(more))
    print("median of each moment\n" + table(medians(cluster), medians(alone)))
    print("the turn with the least difference\n" + table(cluster[best], alone[best]))
    figures = {
        "cluster": spread([moments["COMPLETED"] for moments in cluster]),
        "one_pod": spread([moments["container ended"] for moments in alone]),
        "more": spread(more),
    }
    print(json.dumps(figures, indent=1))
    record(
        "cluster_start",
        {
            "arguments": options.arguments,
            "train_images": options.train_images,
            "test_images": options.test_images,
            **figures,
            "moments": {"cluster": cluster, "one_pod": alone},
        },
        options.results,
    )


if __name__ == "__main__":
    main()
