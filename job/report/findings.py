"""What the report says of the data and of the probabilities: issues, leaks, reliability, second guesses, learning."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from job.learn.issues import KINDS
from job.report import curves

# Rows of a kind of issue that the page shows; all are in the file.
SHOWN = 20
# Headings of the columns of `data_issues.csv`, in the order in which they are shown.
_HEADINGS = {"ima": "picture", "cat": "category", "suggested": "rather", "other": "other", "split": "split"}


def issues(manifest: Mapping[str, Any], found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The kinds of issues with their first rows, sentences about what was not looked at, and the leak."""
    known = manifest.get("data_issues", {})
    context: dict[str, Any] = {"issues": None, "issue_notes": known.get("notes", []), "leak": None}
    table = found.get("data_issues")
    if table is not None:
        kinds = []
        for kind in KINDS:
            own = table.filter(pc.equal(table["kind"], kind))
            told = {"kind": kind, "title": KINDS.get(kind).title, "note": KINDS.get(kind).note}
            kinds.append(
                told | {"count": own.num_rows, "rows": own.slice(0, SHOWN).to_pylist(), "columns": _columns(own)}
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


def _columns(own: pa.Table) -> list[tuple[str, str]]:
    """Columns that say something of the issues of a kind, and their headings."""
    known = [name for name in _HEADINGS if own[name].null_count < own.num_rows]
    return [(name, _HEADINGS[name]) for name in known if name != "split" or "ima" in known]


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
