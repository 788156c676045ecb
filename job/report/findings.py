"""What the report says of the data and of the probabilities: issues, leaks, reliability, second guesses, learning."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from job.report import curves

# Rows of a kind of issue that the page shows; all are in the file.
SHOWN = 20
# What each kind is called, and what it means.
KINDS: Mapping[str, tuple[str, str]] = {
    "label": (
        "Likely wrong labels",
        (
            "Another category is far more probable than the picture's own, by a classifier that has not learned from "
            "it. Some of them are hard pictures and not wrong ones: look before you move any."
        ),
    ),
    "near_duplicate": (
        "Near-duplicates",
        (
            "The picture is a copy of a training picture: the same, recompressed, scaled or mirrored. Frames that "
            "follow each other in a video are not listed, alike as they are."
        ),
    ),
    "outlier": (
        "Outliers",
        "The picture's features are far from those of all training pictures, those of its own category included.",
    ),
    "overlap": (
        "Categories that overlap",
        (
            "Pictures of both are taken for the other one, by a classifier that has not learned from them. The score "
            "is their share."
        ),
    ),
    "few": ("Categories with too few pictures", "The score is the share of the pictures that are missing."),
}


def issues(manifest: Mapping[str, Any], found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The kinds of issues with their first rows, sentences about what was not looked at, and the leak."""
    known = manifest.get("data_issues", {})
    context: dict[str, Any] = {"issues": None, "issue_notes": known.get("notes", []), "leak": None}
    table = found.get("data_issues")
    if table is not None:
        kinds = []
        for kind, (title, note) in KINDS.items():
            own = table.filter(pc.equal(table["kind"], kind))
            kinds.append(
                {
                    "kind": kind,
                    "title": title,
                    "note": note,
                    "count": own.num_rows,
                    "rows": own.slice(0, SHOWN).to_pylist(),
                    "columns": _columns(kind),
                }
            )
        context["issues"] = kinds
    scored = list(manifest.get("dataset", {}).values())[-1:]
    context["frames"] = (known.get("frames", 0), scored[0].get("described", 0) if scored else 0)
    if known.get("leaks"):
        context["leak"] = {
            "copies": known["leaks"],
            "pictures": scored[0].get("described", 0) if scored else 0,
            "accuracy": manifest.get("accuracy"),
            "without": manifest.get("accuracy_without_leaks"),
        }
    return context


def _columns(kind: str) -> list[tuple[str, str]]:
    """Columns of `data_issues.csv` that say something of a kind, and their headings."""
    picture = [("ima", "picture"), ("cat", "category")]
    return {
        "label": [*picture, ("suggested", "rather"), ("split", "split")],
        "near_duplicate": [*picture, ("other", "training picture"), ("split", "split")],
        "outlier": [*picture, ("split", "split")],
        "overlap": [("cat", "category"), ("other", "and")],
        "few": [("cat", "category")],
    }[kind]


def reliability(manifest: Mapping[str, Any], found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The reliability curve and the calibration error."""
    context: dict[str, Any] = {"reliability": Markup(""), "calibration_error": manifest.get("calibration_error")}
    predictions = found.get("predictions")
    if predictions is not None and predictions.num_rows and not predictions["probability"].null_count:
        right = np.asarray(pc.equal(predictions["cat"], predictions["predicted_cat"]))
        sure = predictions["probability"].to_numpy().astype(np.float64)
        context["reliability"] = curves.reliability(curves.bins(sure, right.astype(np.bool_)))
    return context


def guesses(found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """How often the true category is among the first guesses, and the second guess of each picture by its name."""
    table = found.get("guesses")
    if table is None or not table.num_rows:
        return {"guesses": None, "seconds_of": {}}
    places = table["place"].to_numpy()
    wrong = int((places > 1).sum())
    return {
        "guesses": {
            "wrong": wrong,
            "second": int((places == 2).sum()),
            "among": [(count, float((places <= count).mean())) for count in (1, 2, 3, 5)],
        },
        "seconds_of": {
            row["ima"]: (row["second_cat"], row["second_probability"], row["place"])
            for row in table.filter(pc.greater(table["place"], 1)).to_pylist()
        },
    }


def learning(found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The learning curve and its rows."""
    table = found.get("learning_curve")
    if table is None:
        return {"curve": Markup(""), "curve_rows": []}
    rows: Sequence[dict[str, Any]] = table.to_pylist()
    steps = [
        curves.Step(row["pictures_a_category"], row["pictures"], row["accuracy"], row["low"], row["high"])
        for row in rows
    ]
    return {"curve": curves.learning(steps), "curve_rows": rows}
