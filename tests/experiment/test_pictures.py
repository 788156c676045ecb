"""What the report shows of a run's pictures."""

import numpy as np
import pyarrow as pa

from job.experiment.fit import Matrix
from job.experiment.pictures import nearest


def matrix(values, copies=None) -> Matrix:
    rows = {
        "ima": [f"{place}.jpg" for place in range(len(values))],
        "cat": [f"cat {place % 3}" for place in range(len(values))],
    }
    if copies is not None:
        rows["copy"] = copies
    return Matrix(pa.table(rows), np.asarray(values, np.float64))


def test_the_nearest_training_picture_is_that_of_the_shortest_distance():
    draw = np.random.default_rng(1)
    known, scored = draw.normal(size=(40, 7)), draw.normal(size=(9, 7))
    names = ["5.jpg", "0.jpg", "8.jpg"]
    distances = np.square(scored[[5, 0, 8], None] - known[None]).sum(axis=2)
    expected = [(f"{row}.jpg", f"cat {row % 3}") for row in distances.argmin(axis=1)]
    assert nearest(matrix(known), matrix(scored), names) == expected


def test_a_copy_is_never_the_nearest():
    known = matrix([[0.0], [5.0], [1.0], [9.0]], [0, 1, 0, 2])
    assert nearest(known, matrix([[5.0]]), ["0.jpg"]) == [("2.jpg", "cat 2")]


def test_of_equally_near_ones_it_is_the_first_and_without_features_there_is_none():
    known = matrix([[1.0], [1.0]])
    assert nearest(known, matrix([[1.0]]), ["0.jpg"]) == [("0.jpg", "cat 0")]
    assert nearest(None, known, ["0.jpg"]) == nearest(known, None, ["0.jpg"]) == nearest(known, known, []) == []
