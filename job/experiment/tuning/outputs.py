"""What a comparison leaves in its folder: tables, the page, the winner's settings, and last the manifest."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import dataset, storage
from job.experiment.clock import timings
from job.experiment.tuning import best
from job.experiment.tuning.ranking import known_mean, pareto
from job.experiment.tuning.results import SCHEMA_VERSION, Tuned, described
from job.report import tables, tuning
from job.report.console import Console
from job.report.tables import to_csv
from job.settings import Settings

BEST = "best.toml"


def from_csv(content: bytes) -> pa.Table:
    """A table of pictures, written by an earlier comparison, whose other columns are whole numbers."""
    return tables.from_csv(content, dict.fromkeys(("ima", "cat", "path", "reason"), pa.string()))


def write(
    found: Tuned,
    settings: Settings,
    data: str | None,
    images: Mapping[str, dataset.Images],
    folder: storage.RunFolder,
) -> None:
    """Writes everything; after this the comparison is whole."""
    command = best.command(folder.uri(BEST), settings, data)
    content = record(found, command)
    folder.write("tune.csv", to_csv(found.table()))
    folder.write("tune.json", (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    folder.write(BEST, best.toml(found.field.candidates[found.winner], command).encode())
    folder.write("timings.csv", to_csv(timings(found.steps)))
    folder.write("folds.csv", to_csv(found.pictures.table()))
    folder.write("rejected.csv", to_csv(found.rejected))
    folder.write("tune.html", tuning.render(content).encode())
    folder.finish(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "tune",
            "run_name": found.name,
            "settings": dict(found.settings),
            "arguments": dict(found.arguments),
            "versions": dict(found.versions),
            "cores": found.cores,
            "dataset": {split: _dataset(found, own, split) for split, own in images.items()},
            "winner": content["winner"],
            "seconds": content["seconds"],
        }
    )


def _dataset(found: Tuned, images: dataset.Images, split: str) -> dict[str, Any]:
    counts = {"images": len(images), "bytes": int(pc.sum(images.table["size"]).as_py())}
    if split == "train":
        counts |= {"described": len(found.pictures.names), "rejected": found.rejected.num_rows}
    return {"root": images.root, "listing_sha256": images.digest(), **counts, "categories": images.categories()}


def record(found: Tuned, command: str) -> dict[str, Any]:
    """`tune.json`."""
    winner, default, hsv = (
        found.field.candidates[place] for place in (found.winner, found.field.default, found.field.hsv)
    )
    rows = found.rows()
    own = next(row for row in rows if row["winner"])
    top = found.outcomes[found.winner].result
    assert top is not None
    finished = {
        place: outcome.result
        for place, outcome in found.outcomes.items()
        if outcome.result is not None and outcome.result.rung == top.rung
    }
    front = {found.field.candidates[place].name for place in pareto(finished)}
    pictures = found.pictures
    return {
        "schema_version": SCHEMA_VERSION,
        "run_name": found.name,
        "settings": dict(found.settings),
        "arguments": dict(found.arguments),
        "cores": found.cores,
        "versions": dict(found.versions),
        "pictures": len(pictures.names),
        "rejected": found.rejected.num_rows,
        "categories": list(pictures.categories),
        "folds": {
            "count": found.arguments["folds"],
            "grouped_by": pictures.grouped_by,
            "groups": len(set(pictures.groups.tolist())),
            "pictures": [int((pictures.folds == fold).sum()) for fold in range(found.arguments["folds"])],
        },
        "rungs": _rungs(found),
        "extractions": [dict(one) for one in found.extractions],
        "words": "Learned once, without labels, from all training pictures; all else in each fold on its own pictures.",
        "route": found.route,
        "default": default.name,
        "hsv": hsv.name,
        "same": dict(found.field.same),
        "rule": "The cheapest candidate whose accuracy is within one standard error of the best one's.",
        "winner": {
            "candidate": winner.name,
            "settings": best.values(winner),
            **described(winner),
            **{name: own[name] for name in ("accuracy", "low", "high", "standard_error", "ms_per_picture")},
            "model_bytes": own["model_bytes"],
            "test": [dict(row) for row in found.test],
            "command": command,
        },
        "candidates": [{**row, "pareto": row["candidate"] in front, **_folds(found, row["candidate"])} for row in rows],
        "unfinished": [row["candidate"] for row in rows if row["status"] == "unfinished"],
        "failed": {row["candidate"]: row["said"] for row in rows if row["status"] == "failed"},
        "effects": [
            {
                "setting": one.setting,
                "value": one.value,
                "candidates": one.candidates,
                "accuracy": one.accuracy,
                "effect": one.effect,
            }
            for one in found.effects()
        ],
        "seconds": _seconds(found),
    }


def _rungs(found: Tuned) -> list[dict[str, Any]]:
    rows = []
    for number, pictures in enumerate(found.pictures.rungs):
        reached = [place for place, one in found.outcomes.items() if one.result and one.result.rung >= number]
        dropped = [
            found.field.candidates[place].name
            for place, one in found.outcomes.items()
            if one.status == "dropped" and one.result and one.result.rung == number
        ]
        rows.append({"pictures": pictures, "candidates": len(reached), "dropped": dropped})
    return rows


def _folds(found: Tuned, name: str) -> dict[str, Any]:
    """A candidate's accuracy in each fold, and of each category over all folds."""
    place = next(place for place, one in enumerate(found.field.candidates) if one.name == name)
    result = found.outcomes[place].result
    if result is None:
        return {"by_fold": [], "by_category": []}
    return {"by_fold": _known(result.by_fold), "by_category": _known(known_mean(result.shares))}


def _known(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _seconds(found: Tuned) -> dict[str, Any]:
    seconds: dict[str, Any] = {}
    for step in found.steps:
        if step.split == "all":
            seconds[step.operation] = round(step.seconds, 6)
        else:
            own = seconds.setdefault(step.operation, {})
            own[step.split] = round(own.get(step.split, 0.0) + step.seconds, 6)
    return seconds


def tell(found: Tuned, console: Console, folder: storage.RunFolder) -> None:
    """The end on the console: the candidates, the times, the winner and how to use it."""
    one = found.field.candidates[found.winner]
    columns = ["rank", "candidate", "status", "accuracy", "low", "high", "minus_default", "ms_per_picture"]
    result = found.outcomes[found.winner].result
    assert result is not None
    known = result.accuracy
    facts = {
        "winner": one.name,
        "accuracy": f"{known.mean:.3f} ({known.low:.3f} to {known.high:.3f})",
        "on test pictures": f"{sum(row['accuracy'] for row in found.test) / len(found.test):.3f}",
        "settings": folder.uri(BEST),
    }
    console.step("choose", "all", facts, preview=found.table().select(columns))
    left = [row["candidate"] for row in found.rows() if row["status"] == "unfinished"]
    if left:
        console.warning(f"The budget was over: {len(left)} candidates were not finished ({', '.join(left)}).")
    console.timings(timings(found.steps))
    total = next(step.seconds for step in found.steps if step.operation == "total")
    console.done(folder.uri(), known.mean, total)
