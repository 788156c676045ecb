"""A run's manifest, tables and pictures, small and complete, with names that try to break a page."""

import cv2
import numpy as np
import pyarrow as pa
import pytest

from job.report import blocks, tables
from job.report.html import Figure, Pictures

EVIL = "<script>document.title='broken'</script>"
LABELS = ["Lemon", EVIL, 'Pêche, "white"']


@pytest.fixture
def evil():
    return EVIL


def _round(name, split, model, accuracy, difference):
    less = (None, None, None) if difference is None else (difference, difference - 0.02, difference + 0.03)
    return {
        "round": name,
        "split": split,
        "model": model,
        "pictures": 240,
        "accuracy": accuracy,
        "low": accuracy - 0.05,
        "high": accuracy + 0.05,
        **dict(zip(("difference", "difference_low", "difference_high"), less, strict=True)),
        "calibration_error": 0.0312,
    }


def _issue(kind, split, ima, cat, score, suggested=None, other=None):
    names = ("kind", "split", "ima", "cat", "score", "suggested", "other")
    return dict(zip(names, (kind, split, ima, cat, score, suggested, other), strict=True))


@pytest.fixture
def manifest():
    split = {
        "images": 7,
        "described": 5,
        "without_descriptors": 1,
        "rejected": 1,
        "descriptors": 240,
        "descriptor_bytes": 30720,
        "categories": dict.fromkeys(LABELS, 2),
    }
    return {
        "schema_version": 1,
        "run_name": "2026-01-02T03-04-05Z",
        "settings": {
            "data": "s3://key:hush@bucket/fruits",
            "words": 50,
            "components": 35,
            "categories": None,
            "conf": {"spark.hadoop.fs.s3a.secret.key": "hush"},
        },
        "versions": {"python": "3.11.9", "pyspark": "4.1.4"},
        "dataset": {"train": split, "test": split},
        "dimensions": {"bag_of_words": [5, 52], "features": [5, 36]},
        "partitions": {"extract_descriptors": 4},
        "seconds": {"total": 12.5},
        "accuracy": 0.6,
        "vocabulary": {"words": 50, "inertia": 1234567.0, "iterations": 12},
        "protocol": [
            _round("plain to r", "test", "recipe", 0.9, None),
            _round("plain to r", "test", "hsv", 0.8, 0.1),
            _round("r to plain", EVIL, "recipe", 0.7, None),
            _round("r to plain", EVIL, "hsv", 0.75, -0.05),
        ],
        "recipe": {
            "blocks": ["soft-hsv:fourth-root", f"{EVIL}:root", "patches:patches:512"],
            "copies": ["mild", "strong"],
            "scaled": True,
            "components": 0,
            "classifier": "lda",
            "mask": True,
        },
        "calibration_error": 0.0123,
        "accuracy_without_leaks": 0.5,
        "data_issues": {
            "label": 1,
            "near_duplicate": 2,
            "leaks": 2,
            "frames": 4,
            "notes": ["Of 9,999 pictures a sample was seen."],
        },
        "files": [{"path": "timings.csv", "bytes": 812, "sha256": "ab" * 32}],
    }


@pytest.fixture
def result_tables():
    true = np.array([0, 0, 1, 2, 2])
    predicted = np.array([0, 1, 1, 2, 1])
    names = np.array(LABELS)
    features = pa.table(
        {
            "ima": [f"Training/{cat}/{number}.jpg" for number, cat in enumerate(names[true])],
            "cat": names[true],
            "label": true,
            "0": np.array([0.5, 1.5, -2.0, 3.0, 3.5]),
            "1": np.array([1.0, 0.0, 2.0, -1.0, -1.5]),
        }
    )
    analysis = {
        "operation": "extract_descriptors",
        "split": "train",
        "tasks": 4,
        "min_s": 0.1,
        "median_s": 0.2,
        "max_s": 0.9,
        "skew": 4.5,
        "busy": 0.4,
        "limited_by": "One task took 4.5 times the median.",
    }
    return {
        "timings": tables.timings_table(
            [
                ("start_spark", "all", 2.0, None, None),
                ("extract_descriptors", "train", 3.25, 4, 4),
                ("extract_descriptors", "test", 1.0, 4, 4),
                ("total", "all", 12.5, None, None),
            ]
        ),
        "confusion_matrix": tables.confusion_matrix(true, predicted, LABELS),
        "categories": tables.categories_table(true, predicted, LABELS),
        "predictions": pa.table(
            {
                "ima": features["ima"],
                "cat": names[true],
                "label": true.astype(float),
                "prediction": predicted.astype(float),
                "predicted_cat": names[predicted],
                "probability": [0.9, 0.8, 0.7, 0.6, 0.95],
            }
        ),
        "data_issues": pa.Table.from_pylist(
            [
                _issue("label", "train", f"Training/{EVIL}/1.jpg", "Lemon", 0.99, suggested=EVIL),
                _issue("near_duplicate", "test", "Test/Lemon/7.jpg", "Lemon", 0.98, other=f"Training/{EVIL}/7.jpg"),
                _issue("near_duplicate", "test", "Test/Lemon/8.jpg", "Lemon", 0.97, other="Training/Lemon/8.jpg"),
                _issue("overlap", "train", None, "Lemon", 0.25, other=EVIL),
            ]
        ),
        "guesses": pa.table(
            {
                "ima": features["ima"],
                "second_cat": [EVIL, "Lemon", "Lemon", EVIL, LABELS[2]],
                "second_probability": [0.1, 0.15, 0.2, 0.3, 0.05],
                "place": [1, 2, 1, 1, 3],
            }
        ),
        "learning_curve": pa.table(
            {
                "pictures_a_category": [1, 10, 100],
                "pictures": [3, 30, 300],
                "accuracy": [0.4, 0.7, 0.8],
                "low": [0.3, 0.6, 0.75],
                "high": [0.5, 0.8, 0.85],
            }
        ),
        "df_lab_features_train": features,
        "df_lab_features_test": features,
        "rejected": pa.table(
            {"path": [f"Training/{EVIL}/{number}.jpg" for number in range(130)], "reason": ["truncated"] * 130}
        ),
        "task_analysis": pa.Table.from_pylist([analysis, analysis | {"tasks": None, "skew": None, "busy": None}]),
    }


@pytest.fixture
def pictures():
    done, png = cv2.imencode(".png", np.full((8, 8, 3), 200, np.uint8))
    assert done
    data = png.tobytes()
    return Pictures(
        keypoints=[Figure(f"{EVIL}: 9 keypoints", data)],
        blocks=[
            blocks.places("sift", [(0, [data, data]), (7, [data])], 50),
            blocks.looks("patches", [(3, data), (9, data)], 512),
            blocks.colours(EVIL, [(EVIL, np.array([0.5, 0.5]))], np.uint8([[255, 0, 0], [0, 128, 0]]), "a picture"),
            blocks.values("lbp", [("Lemon", np.array([1.0, 2.0, 0.0])), (EVIL, np.zeros(3))], "a picture"),
        ],
        issues={"near_duplicate": [Figure(f"Lemon: {EVIL}.jpg", data, Figure(f"twin {EVIL}", data))]},
        mistakes=[Figure("Lemon taken for Pêche", data, Figure(f"nearest: {EVIL}", data)), Figure("alone", data)],
    )


@pytest.fixture
def category_names(result_tables):
    """The categories, of which one is a script."""
    return result_tables["categories"]["cat"].to_pylist()


@pytest.fixture
def batch_manifest(evil, category_names):
    """A manifest of `fruits predict --data`."""
    return {
        "run_name": f"monday {evil}",
        "settings": {"data": "s3://key:hush@bucket/new", "reject_below": 0.5, "conf": {"x.secret.key": "hush"}},
        "model": {"uri": "s3://key:hush@bucket/model", "digest": "cd" * 32, "categories": 3, "run_name": evil},
        "versions": {"python": "3.11.9"},
        "dataset": {
            "root": "s3://key:hush@bucket/new",
            "listing_sha256": "ef" * 32,
            "images": 1234,
            "bytes": 56789,
            "described": 1200,
            "unknown": 3,
            "without_descriptors": 4,
            "rejected": 30,
        },
        "predicted": dict.fromkeys(category_names, 400),
        "labelled": {
            "pictures": 9,
            "answered": 5,
            "categories": 3,
            "mistakes": 2,
            "category_accuracy": {"mean": 0.6667, "low": 0.4, "high": 0.9},
        },
        "accuracy": 0.6,
        "seconds": {"predict": 3.5, "total": 12.5},
    }


@pytest.fixture
def batch_tables(result_tables, category_names):
    wrong = {
        "ima": [f"{category_names[2]}/2.jpg", "Lemon/1.jpg"],
        "cat": [category_names[2], "Lemon"],
        "predicted_cat": [category_names[1], category_names[1]],
        "probability": [0.95, 0.8],
    }
    return {
        **{name: result_tables[name] for name in ("confusion_matrix", "categories")},
        "mistakes": pa.table(wrong),
        "rejected": pa.table({"path": [f"{category_names[1]}.jpg"], "reason": ["truncated"]}),
    }
