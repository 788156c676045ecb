"""What the cluster adds to a run: seconds from `kubectl apply` to COMPLETED, beside the same run in one pod.

Pictures of `--data` are put into the store of the chart, which must be installed (`helm install`, as README.md says).
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

from job.submit import manifest
from job.upload import upload

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))
import kube
import timeline

NAME = "cluster-start"


def fill(options: argparse.Namespace, uri: str) -> None:
    """Puts the chosen pictures into the cluster's store."""
    with tempfile.TemporaryDirectory() as folder, kube.store() as environment:
        for split, images in (("train", options.train_images), ("test", options.test_images)):
            stage(options.data, choose(options.data, split, options.categories, images), Path(folder))
        os.environ.update(environment)
        upload(folder, uri)


def turn(document: kube.Document) -> tuple[timeline.Moments, timeline.Moments]:
    """Moments of one run on the cluster, and of one in a single pod."""
    begun, clock = datetime.now(UTC), time.perf_counter()
    spec = document["spec"]
    spec = {**spec, "arguments": [*spec["arguments"], "--run-name", f"{NAME}-{begun:%H-%M-%S}"]}
    kube.kubectl("apply", "-f", "-", text=json.dumps({**document, "spec": spec}))
    try:
        kube.kubectl("wait", "--for=jsonpath={.status.applicationState.state}=COMPLETED", f"sparkapplication/{NAME}",
                     "--timeout=170s", timeout=180)
        seconds = time.perf_counter() - clock
        moments = {**timeline.of_application(NAME, begun), "COMPLETED": seconds}
    finally:
        kube.kubectl("delete", "sparkapplication", NAME)
        kube.until(60, "its pods are gone", lambda: not kube.get("pods", "-l", "spark-role")["items"])
    return moments, timeline.alone(document)


def medians(turns: Sequence[timeline.Moments]) -> timeline.Moments:
    return {name: statistics.median(moments[name] for moments in turns) for name in turns[0]}


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
    wanted = manifest.Wanted(name=NAME, image=options.image, executors=2, fields=tuple(options.fields))
    document = manifest.prepare(manifest.load(manifest.shipped()), wanted, ["--data", uri, *options.arguments], NAME)
    turns = [turn(document) for _ in range(options.repeats + 1)][1:]
    cluster, alone = ([pair[place] for pair in turns] for place in (0, 1))
    print(timeline.table(medians(cluster), medians(alone)))
    more = [ours["COMPLETED"] - theirs["container ended"] for ours, theirs in zip(cluster, alone, strict=True)]
    figures = {"cluster": spread([moments["COMPLETED"] for moments in cluster]),
               "one_pod": spread([moments["container ended"] for moments in alone]), "more": spread(more)}
    print(json.dumps(figures, indent=1))
    record("cluster_start", {"arguments": options.arguments, "train_images": options.train_images,
                             "test_images": options.test_images, **figures,
                             "moments": {"cluster": medians(cluster), "one_pod": medians(alone)}}, options.results)


if __name__ == "__main__":
    main()
