"""What a comparison found, as one frozen record, and its parts that are kept while it goes on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from job import storage
from job.errors import UserError
from job.experiment.clock import Step
from job.experiment.tuning import ranking
from job.experiment.tuning.candidates import SETTINGS, Candidate, Field
from job.experiment.tuning.plan import Pictures
from job.experiment.tuning.ranking import Result
from job.learn import intervals

SCHEMA_VERSION = 1
NOT_OURS = (
    *SETTINGS,
    "augment_images",
    "no_classify",
    "export_intermediate",
    "learning_curve",
    "test_fraction",
    "labels",
    "cache",
    "dry_run",
    "debug",
    "wait_for_data",
)
"""Settings of a run that a comparison has not: candidates have their own, or it does without."""
_KEPT = "results"


@dataclass(frozen=True)
class Outcome:
    """How far a candidate came: its status, its result in the last rung that it finished, and a sentence where it was
    dropped, failed or was not finished."""

    status: str
    result: Result | None
    sentence: str = ""


@dataclass(frozen=True)
class Tuned:
    """All that a comparison found.

    Attributes
    ----------
    name, settings, versions, cores
        As in a run's record.
    arguments
        The command's own options.
    root
        Address of the training pictures.
    field
        The candidates.
    pictures
        The pictures, their folds and rungs.
    rejected
        `path, reason` of training pictures that could not be used.
    rungs
        Results of each rung by place; in the first one all candidates were.
    outcomes
        How far each candidate came, by place.
    extractions
        What was described: for each pass over pictures its descriptors, copies, disturbance and number of pictures.
    route
        "tasks" where candidates were fitted side by side, or "executors" where the vectors were too large for that.
    winner
        Place of the winner.
    test
        How the winner did on the test pictures, a row for each round and split of the protocol.
    steps
        What each operation took.

    """

    name: str
    settings: Mapping[str, Any]
    versions: Mapping[str, Any]
    cores: int
    arguments: Mapping[str, Any]
    root: str
    field: Field
    pictures: Pictures
    rejected: pa.Table
    rungs: Sequence[Mapping[int, Result]]
    outcomes: Mapping[int, Outcome]
    extractions: Sequence[Mapping[str, Any]]
    route: str
    winner: int
    test: Sequence[Mapping[str, Any]]
    steps: tuple[Step, ...]

    def order(self) -> list[int]:
        """Places of the candidates, the best first."""
        return sorted(self.outcomes, key=lambda place: (*ranking.standing(self.outcomes[place].result), place))

    def difference(self, place: int, other: int) -> intervals.Interval | None:
        """A candidate's accuracy less another's, on the same folds of the same pictures, those of its last rung; None
        for itself, and where the other one has no result of that rung."""
        one = self.outcomes[place].result
        if place == other or one is None or other not in self.rungs[one.rung]:
            return None
        return intervals.over_folds(one.shares - self.rungs[one.rung][other].shares)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each candidate, the best first, as `tune.csv` has them."""
        found = []
        for rank, place in enumerate(self.order(), start=1):
            outcome, one = self.outcomes[place], self.field.candidates[place]
            result = outcome.result
            known = None if result is None else result.accuracy
            row: dict[str, Any] = {
                "rank": rank,
                "candidate": one.name,
                "status": outcome.status,
                "rung": None if result is None else result.rung + 1,
                "pictures": None if result is None else self.pictures.rungs[result.rung],
                "accuracy": None if known is None else known.mean,
                "low": None if known is None else known.low,
                "high": None if known is None else known.high,
                "standard_error": None if result is None else result.error,
            }
            for name, other in (("default", self.field.default), ("hsv", self.field.hsv)):
                less = self.difference(place, other)
                row |= {
                    f"minus_{name}": None if less is None else less.mean,
                    f"minus_{name}_low": None if less is None else less.low,
                    f"minus_{name}_high": None if less is None else less.high,
                }
            row |= {
                "fit_seconds": None if result is None else result.fit_seconds,
                "ms_per_picture": None if result is None else result.milliseconds,
                "model_bytes": None if result is None else result.bytes,
                "winner": place == self.winner,
                "default": place == self.field.default,
                "hsv": place == self.field.hsv,
                **described(one),
                "said": outcome.sentence,
            }
            found.append(row)
        return found

    def table(self) -> pa.Table:
        """The rows as a table."""
        return pa.Table.from_pylist(self.rows(), ROWS)

    def effects(self) -> list[ranking.Effect]:
        """Which settings mattered, from the first rung."""
        values = {place: _values(self.field.candidates[place]) for place in self.rungs[0]}
        return ranking.effects(self.rungs[0], values)


_NUMBER, _WHOLE, _TEXT = pa.float64(), pa.int64(), pa.string()
ROWS = pa.schema(
    [
        ("rank", _WHOLE),
        ("candidate", _TEXT),
        ("status", _TEXT),
        ("rung", _WHOLE),
        ("pictures", _WHOLE),
        ("accuracy", _NUMBER),
        ("low", _NUMBER),
        ("high", _NUMBER),
        ("standard_error", _NUMBER),
        ("minus_default", _NUMBER),
        ("minus_default_low", _NUMBER),
        ("minus_default_high", _NUMBER),
        ("minus_hsv", _NUMBER),
        ("minus_hsv_low", _NUMBER),
        ("minus_hsv_high", _NUMBER),
        ("fit_seconds", _NUMBER),
        ("ms_per_picture", _NUMBER),
        ("model_bytes", _WHOLE),
        ("winner", pa.bool_()),
        ("default", pa.bool_()),
        ("hsv", pa.bool_()),
        ("features", _TEXT),
        ("components", _WHOLE),
        ("classifier", _TEXT),
        ("augment", _TEXT),
        ("said", _TEXT),
    ]
)
"""Columns of `tune.csv`."""


def described(one: Candidate) -> dict[str, Any]:
    """What a candidate is made of: blocks of features, components, classifier, copies."""
    recipe = one.recipe
    if recipe is None:
        return {"features": None, "components": None, "classifier": None, "augment": None}
    return {
        "features": "+".join(str(block) for block in recipe.blocks),
        "components": recipe.components,
        "classifier": recipe.classifier,
        "augment": "+".join(recipe.copies) or "off",
    }


def _values(one: Candidate) -> dict[str, str]:
    """The values of the settings whose effect is asked for."""
    recipe = one.recipe
    assert recipe is not None
    found = described(one)
    own = {
        "features": str(found["features"]),
        "classifier": str(found["classifier"]),
        "augment": str(found["augment"]),
        "components": str(found["components"]) if found["components"] else "all",
        "background": "left out" if recipe.mask else "kept",
    }
    blocks = {block.descriptor for block in recipe.blocks}
    return own | {f"descriptor {name}": "with" for name in blocks}


# ---- kept while it goes on


def kept_name(key: str, rung: int, fold: int) -> str:
    """The file of a candidate's result in one fold of a rung."""
    return f"{_KEPT}/{key}-rung{rung + 1}-fold{fold + 1}.json"


def keep(folder: storage.RunFolder, one: Candidate, rung: int, found: Mapping[str, Any]) -> None:
    """Writes what a candidate has found in a rung, a file for each fold."""
    shared = {name: value for name, value in found.items() if name != "folds"}
    for fold in sorted({part["fold"] for part in found["folds"]}):
        own = [part for part in found["folds"] if part["fold"] == fold]
        content = {"candidate": one.name, "rung": rung + 1, "fold": fold + 1, **shared, "folds": own}
        folder.write(kept_name(one.key, rung, fold), json.dumps(content).encode())


def kept(folder: storage.RunFolder, one: Candidate, rung: int, folds: int, there: set[str]) -> dict[str, Any] | None:
    """What `keep` wrote, where every fold is there and readable; `there` are the names of all that was kept."""
    names = [kept_name(one.key, rung, fold) for fold in range(folds)]
    if not there.issuperset(name.removeprefix(f"{_KEPT}/") for name in names):
        return None
    try:
        parts = [json.loads(storage.read_bytes(folder.uri(name))) for name in names]
    except ValueError:
        return None
    return {**parts[0], "folds": [part for content in parts for part in content["folds"]]}


def names_kept(folder: storage.RunFolder) -> set[str]:
    """The names of all results that were kept."""
    return set(folder.parts(_KEPT))


@contextmanager
def claimed(folder: storage.RunFolder, work: Mapping[str, Any], *, resume: bool) -> Iterator[bool]:
    """The folder is this attempt's own; gives whether an earlier one began it.

    When this one fails, results are kept for another attempt, if there are any.

    Raises UserError when the folder holds the beginning of other work, or of the same without --resume.
    """
    folder.claim()
    earlier = folder.begun()
    if earlier is not None and (not resume or earlier != work):
        folder.release()
        why = (
            "was begun with other pictures, candidates, folds or settings: choose another --run-name"
            if resume
            else "was begun and not ended: go on with it by --resume, choose another --run-name"
        )
        raise UserError(f"The run '{folder.name}' in '{folder.out}' {why}, or remove '{folder.root}'.", 2)
    try:
        if earlier is None:
            folder.begin(work)
        yield earlier is not None
    except BaseException:
        if names_kept(folder):
            folder.release()
        else:
            folder.discard()
        raise
