"""Two runs hold the same results: counts, words, features, predictions."""

import csv
import json
from pathlib import Path

import numpy as np


def assert_same_results(one: Path, other: Path) -> None:
    """The folders of two runs are those of the same work, floating point sums within 1e-6."""
    left, right = (json.loads((folder / "manifest.json").read_text()) for folder in (one, other))
    for split in ("train", "test"):
        for part in (left, right):
            part["dataset"][split].pop("root")
        assert left["dataset"][split] == right["dataset"][split]
    # one of several blocks tells none
    inertia = [part["vocabulary"].get("inertia", 0.0) for part in (left, right)]
    np.testing.assert_allclose(*inertia, rtol=1e-6)
    assert left["accuracy"] == right["accuracy"]
    for name in ("bag_of_words_train.csv", "bag_of_words_test.csv", "confusion_matrix.csv", "rejected.csv"):
        assert _rows(one / name) == _rows(other / name), name
    for name in ("df_lab_features_train.csv", "df_lab_features_test.csv"):
        ours, theirs = _rows(one / name), _rows(other / name)
        assert [row[:3] for row in ours] == [row[:3] for row in theirs], name
        np.testing.assert_allclose(_numbers(ours), _numbers(theirs), rtol=0, atol=1e-6, err_msg=name)
    ours, theirs = _rows(one / "predictions.csv"), _rows(other / "predictions.csv")
    assert [row[:5] for row in ours] == [row[:5] for row in theirs]


def _rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as content:
        return list(csv.reader(content))


def _numbers(rows: list[list[str]]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.array([[float(value) for value in row[3:]] for row in rows[1:]])
