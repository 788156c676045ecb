"""The page of `fruits predict --data` for pictures whose categories are known: one HTML file that needs no network, no
script and no other file."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from jinja2 import Template

from job.report import html, pages, text

# What the counts of the manifest's `dataset` are called.
_COUNTS = {
    "images": "pictures",
    "described": "described",
    "unknown": "of them unknown",
    "without_descriptors": "without descriptors",
    "rejected": "rejected",
}


def render(manifest: Mapping[str, Any], tables_by_name: Mapping[str, pa.Table], mistakes: Sequence[html.Figure]) -> str:
    """The page, complete, for the manifest of a batch, some of its tables and pictures of the surest mistakes.

    Tables by name: `confusion_matrix`, `categories`, `rejected`, and `mistakes`, the surest first.
    """
    shown, labelled = tables_by_name["mistakes"], manifest["labelled"]
    return _template().render(
        run_name=text.clean(str(manifest["run_name"])),
        tiles=_tiles(manifest),
        labelled=labelled,
        listed=shown.num_rows,
        **html.classification(tables_by_name)
        | {"wrong": (labelled["mistakes"], labelled["answered"]), "mistakes": html.first_mistakes(shown)},
        pictures=html.Pictures(mistakes=list(mistakes)),
        seconds_of={},
        rows_open=html.TABLE_ROWS_OPEN,
        model=_model(manifest["model"]),
        data=_data(manifest["dataset"]),
        predicted=[(text.clean(name), count) for name, count in manifest["predicted"].items()],
        facts=[
            ("Settings", html.settings(manifest)),
            ("Versions", html.flat(manifest["versions"])),
            ("Seconds", html.flat(manifest["seconds"])),
        ],
        **html.rejected(tables_by_name),
    )


@cache
def _template() -> Template:
    return pages.template("job.report", "predictions.html.j2", data_uri=html.data_uri)


def _tiles(manifest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers a reader looks for first: (name, value, note)."""
    labelled, images = manifest["labelled"], manifest["dataset"]["images"]
    mean = labelled["category_accuracy"]
    return [
        ("accuracy", text.percent(manifest["accuracy"]), f"of {text.number(labelled['answered'])} labelled pictures"),
        (
            "mean of categories",
            text.percent(mean["mean"]),
            f"{100 * mean['low']:.1f} to {100 * mean['high']:.1f} (interval, 95 %)",
        ),
        ("mistakes", text.number(labelled["mistakes"]), f"in {text.number(labelled['categories'])} categories"),
        ("pictures", text.number(images), f"{text.number(labelled['pictures'])} with a known category"),
        ("total time", text.seconds(float(manifest["seconds"]["total"])), "all operations"),
    ]


def _model(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What tells one model from another, and what its own run said of it."""
    known = {"address": model["uri"], "SHA-256": model["digest"], "categories": model["categories"]}
    known |= {"run that made it": model["run_name"]} if "run_name" in model else {}
    known |= {"accuracy in that run": text.percent(model["accuracy"])} if model.get("accuracy") is not None else {}
    return html.settings({"settings": known})


def _data(dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the pictures are, which ones they are, and what became of them."""
    counts = {title: text.number(dataset[name]) for name, title in _COUNTS.items()}
    return [
        *html.settings({"settings": {"address": dataset["root"]}}),
        ("SHA-256 of the listing", str(dataset["listing_sha256"])),
        ("size", text.size(dataset["bytes"])),
        *counts.items(),
    ]
