"""Seconds the 2020 prototype took, operation by operation, on EMR and on a laptop.

EMR 5.31, Spark 2.4.6, m5.xlarge: one master and 2 or 4 core nodes. 876 training and 292 test pictures of five
categories, SIFT, K = 50.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pyarrow as pa


class Reference(NamedTuple):
    """One operation of the prototype, in seconds."""

    operation: str
    split: str
    emr_2_nodes_8_cores_s: float
    emr_4_nodes_16_cores_s: float
    laptop_2_threads_s: float


TRAIN_IMAGES: Final = 876
TEST_IMAGES: Final = 292
WORDS: Final = 50

SERIES: Final = {
    "emr_2_nodes_8_cores_s": "EMR 2 nodes, 8 cores",
    "emr_4_nodes_16_cores_s": "EMR 4 nodes, 16 cores",
    "laptop_2_threads_s": "laptop, 2 threads",
}

EMR: Final = (
    Reference("read_images", "train", 0.09, 0.08, 0.03),
    Reference("extract_descriptors", "train", 186.44, 187.22, 70.93),
    Reference("fit_vocabulary", "train", 133.76, 83.63, 962.98),
    Reference("assign_words", "train", 30.34, 16.96, 198.57),
    Reference("bag_of_words", "train", 27.72, 30.09, 40.38),
    Reference("reduce_dimensions", "train", 82.06, 74.94, 96.95),
    Reference("read_images", "test", 0.08, 0.08, 0.02),
    Reference("extract_descriptors", "test", 61.59, 61.18, 20.79),
    Reference("assign_words", "test", 10.25, 5.99, 72.04),
    Reference("bag_of_words", "test", 10.35, 10.50, 15.43),
    Reference("reduce_dimensions", "test", 33.51, 30.33, 54.81),
    Reference("total", "all", 576.0, 500.0, 1532.0),
)


def emr_table() -> pa.Table:
    """The figures as a table: `operation, split` and one column of seconds for each of `SERIES`."""
    return pa.Table.from_pylist([row._asdict() for row in EMR])


def same_work(images: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether a run of so many pictures by split, with these settings, did the prototype's amount of work: so many
    words of one descriptor, so that their seconds can be compared as they are."""
    counted = settings.get("words") == WORDS and not settings.get("features")
    return dict(images) == {"train": TRAIN_IMAGES, "test": TEST_IMAGES} and counted
