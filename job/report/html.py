"""The report of a run: one HTML page that needs no network, no script and no other file."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Template
from markupsafe import Markup

from job.learn import scores
from job.report import diagram, figures, findings, pages, reference, tables, text
from job.report.blocks import Block
from job.secrets import redact

# Beyond these the page stops being read; the whole is in the run's CSV files.
REJECTED_SHOWN = 100
MISTAKES_SHOWN = 20
CONFUSIONS_SHOWN = 12
MAP_POINTS = 2000
LEGEND_NAMES = 24
# What the recipes of a protocol's rounds are called.
_MODELS = {"recipe": "this run", "hsv": "histogram of colours", "reference": "2020 prototype's algorithm"}
TABLE_ROWS_OPEN = 15


class Figure(NamedTuple):
    """A picture, JPEG or PNG, and the sentence under it; and another one to be looked at beside it."""

    caption: str
    image: bytes
    beside: "Figure | None" = None


@dataclass(frozen=True)
class Pictures:
    """The report's photographs; all of them may be missing.

    keypoints: pictures with their keypoints drawn; blocks: what the blocks of features look like; mistakes: pictures
    the classifier got wrong, worst first, each with the nearest training picture beside it where that is known; issues:
    by kind pictures that something may be wrong with, a near-duplicate with its twin beside it.
    """

    keypoints: list[Figure] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    mistakes: list[Figure] = field(default_factory=list)
    issues: Mapping[str, list[Figure]] = field(default_factory=dict)


def render(manifest: Mapping[str, Any], tables_by_name: Mapping[str, pa.Table], pictures: Pictures) -> str:
    """The page, complete, for a run's manifest, result tables and pictures.

    Tables by name, each of them optional: `timings`, `confusion_matrix`, `categories`, `predictions`,
    `df_lab_features_train`, `df_lab_features_test`, `rejected`, `task_analysis`, `data_issues`, `guesses` (`ima,
    second_cat, second_probability, place`, the last one being the place of the true category), `learning_curve`. A
    part whose input is missing is left out of the page.
    """
    found = {name: table for name, table in tables_by_name.items() if table is not None}
    return template().render(
        manifest=manifest,
        run_name=text.clean(str(manifest.get("run_name", ""))),
        tiles=_tiles(manifest),
        dataset=_dataset(manifest),
        category_counts=_category_counts(manifest),
        dimensions=manifest.get("dimensions", {}),
        vocabulary=manifest.get("vocabulary", {}),
        protocol=_protocol(manifest),
        partitions=flat(manifest.get("partitions", {})),
        settings=settings(manifest),
        versions=flat(manifest.get("versions", {})),
        files=manifest.get("files", []),
        pictures=pictures,
        rows_open=TABLE_ROWS_OPEN,
        diagram=_diagram(manifest),
        **findings.issues(manifest, found),
        **findings.reliability(manifest, found),
        **findings.guesses(found),
        **findings.learning(found),
        **classification(found),
        **_map(found),
        **_times(manifest, found),
        **rejected(found),
    )


@cache
def template() -> Template:
    """The page's template, compiled, which takes 70 ms."""
    return pages.template("job.report", "report.html.j2", data_uri=data_uri)


def _protocol(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """The rounds of a protocol: for each scored split the models' accuracies and differences in the order of `models`,
    a legend and a figure. None where there were none. A model may lack a row, and a row its figures."""
    rows = manifest.get("protocol")
    if not rows:
        return None
    models = list(dict.fromkeys(row["model"] for row in rows))
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        found.setdefault((row["round"], row["split"]), {})[row["model"]] = row
    many = len({name for name, _ in found}) > 1
    drawn = [
        (
            f"{name}, {split}" if many and len({key[1] for key in found}) > 1 else (name if many else split),
            [
                (model, row["accuracy"], row["low"], row["high"])
                if (row := by_model.get(model)) and row["accuracy"] is not None
                else None
                for model in models
            ],
        )
        for (name, split), by_model in found.items()
    ]
    return {
        "name": manifest.get("settings", {}).get("protocol", ""),
        "models": models,
        "others": [
            model for model in models if any(row["difference"] is not None for row in rows if row["model"] == model)
        ],
        "legend": [(figures.series_key(number), _MODELS.get(model, model)) for number, model in enumerate(models)],
        "titles": _MODELS,
        "rows": [(*key, by_model) for key, by_model in found.items()],
        "unseen": any(row.get("in_copies") is False for row in rows if row["model"] == models[0]),
        "figure": figures.intervals(drawn, len(models)),
    }


def _diagram(manifest: Mapping[str, Any]) -> Markup:
    """The recipe as a diagram; nothing where the manifest has none."""
    if "recipe" not in manifest:
        return Markup("")
    return diagram.recipe(diagram.rows_of(manifest["recipe"], len(_category_counts(manifest))))


def _tiles(manifest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers a reader looks for first: (name, value, note)."""
    splits = manifest.get("dataset", {})
    tiles = []
    if manifest.get("accuracy") is not None:
        tiles.append(("accuracy", text.percent(manifest["accuracy"]), "of the test pictures"))
    if splits:
        shown = [(name, int(split.get("images", 0))) for name, split in splits.items()]
        note = ", ".join(f"{text.number(images)} {name}" for name, images in shown)
        tiles.append(("pictures", text.number(sum(images for _, images in shown)), note))
        descriptors = sum(int(split.get("descriptors") or 0) for split in splits.values())
        weight = sum(float(split.get("descriptor_bytes") or 0) for split in splits.values())
        tiles.append(("descriptors", text.number(descriptors), text.size(weight)))
    if manifest.get("vocabulary", {}).get("words"):
        components = _components(manifest)
        note = f"reduced to {components} components" if components else "visual words"
        tiles.append(("words", text.number(manifest["vocabulary"]["words"]), note))
    total = manifest.get("seconds", {}).get("total")
    if total is not None:
        tiles.append(("total time", text.seconds(float(total)), "all operations"))
    return tiles


def _components(manifest: Mapping[str, Any]) -> int | None:
    components = manifest.get("settings", {}).get("components")
    return int(components) if isinstance(components, int) else None


def _dataset(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a split, with the check that nothing was lost."""
    rows = []
    for name, split in manifest.get("dataset", {}).items():
        counts = {
            key: int(split.get(key) or 0)
            for key in ("images", "described", "without_descriptors", "rejected", "descriptors", "descriptor_bytes")
        }
        whole = counts["described"] + counts["without_descriptors"] + counts["rejected"]
        per_image = counts["descriptors"] / counts["described"] if counts["described"] else None
        others = dict(split.get("passed_over") or {})
        rows.append(
            {
                "split": name,
                **counts,
                "per_image": per_image,
                "complete": whole == counts["images"],
                "passed_over": others,
            }
        )
    return rows


def _category_counts(manifest: Mapping[str, Any]) -> list[tuple[str, list[int]]]:
    """(category, pictures in each split), alphabetical."""
    by_split = [split.get("categories", {}) for split in manifest.get("dataset", {}).values()]
    names = sorted({name for counts in by_split for name in counts})
    return [(name, [int(counts.get(name, 0)) for counts in by_split]) for name in names]


def settings(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings by name, as text without secrets."""
    return [
        (str(name), text.clean(text.plain(redact(str(name), value))))
        for name, value in manifest.get("settings", {}).items()
    ]


def flat(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text."""
    return [(str(name), text.clean(text.plain(value))) for name, value in values.items()]


def classification(found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Confusion matrix, scores per category, commonest confusions, worst mistakes."""
    context: dict[str, Any] = {"confusion": Markup(""), "confusions": [], "categories": [], "mistakes": []}
    context["wrong"] = None
    if "confusion_matrix" in found:
        matrix = found["confusion_matrix"]
        labels = [text.clean(str(name)) for name in matrix.column(0).to_pylist()]
        counts = np.array([column.to_numpy() for column in matrix.columns[1:]], dtype=np.int64).T
        counts = counts.reshape(len(labels), len(labels))
        context["confusion"] = figures.confusion_map(counts, labels)
        context["confusions"] = _confusions(counts, labels)
    if "categories" in found:
        context["categories"] = found["categories"].to_pylist()
    if "predictions" in found:
        predictions = found["predictions"]
        wrong = tables.worst_mistakes(predictions, predictions.num_rows)
        context["wrong"] = (wrong.num_rows, predictions.num_rows)
        context["mistakes"] = first_mistakes(wrong)
    return context


def first_mistakes(wrong: pa.Table) -> list[dict[str, Any]]:
    """As many rows of mistakes, the surest of which come first, as a page shows."""
    return list(wrong.slice(0, MISTAKES_SHOWN).to_pylist())


def _confusions(counts: np.ndarray[Any, np.dtype[np.int64]], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs most often confused, as counts and as shares of the true category."""
    return [
        {
            "true": labels[row],
            "predicted": labels[column],
            "count": count,
            "share": count / int(counts[row].sum()),
        }
        for row, column, count in scores.confusions(counts)[:CONFUSIONS_SHOWN]
    ]


def _map(found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The PCA map and its legend; a sample that depends on the pictures' names only."""
    context: dict[str, Any] = {"pca_map": Markup(""), "legend": [], "legend_open": True, "map_points": 0}
    parts = [(split, found.get(f"df_lab_features_{split}")) for split in ("train", "test")]
    points = [
        (hashlib.blake2b(str(ima).encode(), digest_size=8).digest(), str(ima), str(cat), split, x, y)
        for split, table in parts
        if table is not None and {"ima", "cat", "0", "1"} <= set(table.column_names)
        for ima, cat, x, y in zip(*(table.column(name).to_pylist() for name in ("ima", "cat", "0", "1")), strict=True)
    ]
    if not points:
        return context
    labels = sorted({point[2] for point in points})
    kept = sorted(points)[:MAP_POINTS]
    numbers = {label: number for number, label in enumerate(labels)}
    context["pca_map"] = figures.scatter(
        np.array([point[4] for point in kept], dtype=np.float64),
        np.array([point[5] for point in kept], dtype=np.float64),
        np.array([numbers[point[2]] for point in kept], dtype=np.int64),
        np.array([point[3] == "test" for point in kept], dtype=np.bool_),
        [text.clean(label) for label in labels],
    )
    context["legend"] = [(figures.category_key(number), text.clean(label)) for label, number in numbers.items()]
    context["legend_open"] = len(labels) <= LEGEND_NAMES
    context["map_points"] = (len(kept), len(points))
    return context


def _times(manifest: Mapping[str, Any], found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Bars of this run, dots beside the reference, both as tables; the task analysis."""
    context: dict[str, Any] = {"timings": [], "bars": Markup(""), "dots": Markup(""), "beside": [], "series": []}
    context["analysis"] = found["task_analysis"].to_pylist() if "task_analysis" in found else []
    context["same_work"] = _same_work(manifest)
    context["reference_work"] = (reference.TRAIN_IMAGES, reference.TEST_IMAGES, reference.WORDS)
    if "timings" not in found:
        return context
    timings = found["timings"].to_pylist()
    taken: dict[str, dict[str, float]] = {}
    for row in timings:
        taken.setdefault(row["operation"], {})[row["split"]] = float(row["seconds"])
    context["timings"] = timings
    context["bars"] = figures.seconds_bars([item for item in taken.items() if item[0] != "total"])
    names = ["this run", *reference.SERIES.values()]
    beside = _beside(taken)
    context["beside"] = beside
    context["dots"] = figures.comparison_dots(beside, names)
    context["series"] = [(figures.series_key(number), name) for number, name in enumerate(names)]
    return context


def _beside(taken: Mapping[str, Mapping[str, float]]) -> list[tuple[str, list[float | None]]]:
    """(operation, [this run's seconds, each reference's]), train and test together."""
    sums: dict[str, list[float | None]] = {}
    for row in reference.EMR:
        times = (row.emr_2_nodes_8_cores_s, row.emr_4_nodes_16_cores_s, row.laptop_2_threads_s)
        mine = sum(taken[row.operation].values()) if row.operation in taken else None
        earlier = sums.get(row.operation, [mine, 0.0, 0.0, 0.0])
        sums[row.operation] = [mine, *(float(old or 0.0) + new for old, new in zip(earlier[1:], times, strict=True))]
    return list(sums.items())


def _same_work(manifest: Mapping[str, Any]) -> bool:
    images = {name: split.get("images") for name, split in manifest.get("dataset", {}).items()}
    return reference.same_work(images, manifest.get("settings", {}))


def rejected(found: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The first pictures that could not be used, their number, and how many there are for each reason."""
    table = found.get("rejected")
    if table is None:
        return {"rejected": [], "rejected_total": 0, "reasons": []}
    reasons = {each["values"].as_py(): each["counts"].as_py() for each in pc.value_counts(table["reason"])}
    shown = [(text.clean(row["path"]), row["reason"]) for row in table.slice(0, REJECTED_SHOWN).to_pylist()]
    return {"rejected": shown, "rejected_total": table.num_rows, "reasons": sorted(reasons.items())}


def data_uri(image: bytes) -> str:
    """A picture, JPEG or PNG, as the address of itself."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
