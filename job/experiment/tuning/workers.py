"""A candidate's work in a task of Spark, and what comes back of it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from job import dataset, storage
from job.engine.crashes import worker_ended
from job.experiment.tuning.trial import Trial
from job.vision import pixels

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

# Pictures, and bytes of them, by which the cost of a picture is measured.
_MEASURED, _MEASURED_BYTES = 24, 8 << 20


def some_contents(images: dataset.Images) -> list[bytes]:
    """A few of the pictures, from all over the listing."""
    step = max(1, len(images) // _MEASURED)
    names = images.table["ima"].to_pylist()[::step][:_MEASURED]
    found: list[bytes] = []
    for content in storage.read_many(images.root, names, max_bytes=pixels.MAX_BYTES):
        if isinstance(content, bytes) and sum(map(len, found)) + len(content) <= _MEASURED_BYTES:
            found.append(content)
    return found


def by_worker(
    spark: "SparkSession",
    trial: Trial,
    sent: "Mapping[tuple[int, str], Sequence[Broadcast[NDArray[Any]]]]",
    contents: "Broadcast[list[bytes]]",
    name: str,
) -> str:
    """The trial's work by a worker, as JSON: what it found, or the sentence with which it `failed`."""

    def work(_: Any) -> list[str]:
        def vectors() -> dict[tuple[int, str], NDArray[Any]]:
            return {
                place: parts[0].value if len(parts) == 1 else np.concatenate([part.value for part in parts])
                for place, parts in sent.items()
            }

        try:
            return [json.dumps(trial.work(vectors, contents.value))]
        except Exception as error:  # noqa: BLE001  (told as the candidate's own)
            return [json.dumps({"failed": sentence(error)})]

    context = spark.sparkContext
    context.setJobGroup(f"tune {name}", name)
    return str(context.parallelize([0], 1).mapPartitions(work).collect()[0])


def sentence(error: Exception) -> str:
    """What an error says, as one sentence: of a worker's or of Java's, the last line that is no place in a program."""
    if worker_ended(error):
        return "The Python worker that worked on it ended unexpectedly: it crashed, or had too little memory."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not re.match(r"at [\w.$]|\.\.\. \d+ more|Driver stacktrace", line)]
    named = [line for line in said if re.match(r"(?:Caused by: )?[\w.$]+(?:Error|Exception): \S", line)]
    last = (named or said or [type(error).__name__])[-1]
    return f"{re.sub(r'^(?:Caused by: )?[A-Za-z_.$]+(?:Error|Exception): ', '', last)[:300].rstrip('.')}."
