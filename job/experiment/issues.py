"""What may be wrong with the pictures of a run: gathered from its frames, found by `job.learn.issues`.

The driver holds no more than a stated number of values. Of a larger set a sample is looked at, which is the same
whatever the partitions, and a sentence says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job.columns import packed, unpacked
from job.cores import available_cores
from job.experiment.clock import Clock
from job.experiment.extract import Extracted
from job.experiment.extract import originals as without_copies
from job.experiment.fit import Encoded, Fitted
from job.experiment.score import Scores
from job.learn import sampling
from job.learn.classifiers import CLASSIFIERS
from job.learn.issues import KINDS
from job.learn.issues.base import TRAIN, Evidence, Issue, Rows
from job.learn.projection import projected
from job.vision.look import KEPT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Pictures of a split whose looks are gathered, 256 bytes each; pictures whose features are looked at, each of which is
# compared with all others; and values of features that are gathered, 2 bytes each.
MOST_LOOKS = 100_000
MOST_ROWS = 50_000
MOST_VALUES = 64_000_000
# Wider features come as so many random projections.
MOST_WIDTH = 1024
_LARGEST = 60_000.0  # of float16
_SHARES = 1 << 20

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("split", pa.string()),
        ("ima", pa.string()),
        ("cat", pa.string()),
        ("score", pa.float64()),
        ("suggested", pa.string()),
        ("other", pa.string()),
    ]
)


@dataclass(frozen=True)
class DataIssues:
    """What may be wrong with the pictures of a run.

    Attributes
    ----------
    issues
        The issues, kind by kind, the surest or worst first.
    notes
        Sentences about what was looked at in part only.
    frames
        Number of scored pictures that are frames of videos that training pictures are from.

    """

    issues: tuple[Issue, ...] = ()
    notes: tuple[str, ...] = ()
    frames: int = 0

    def table(self) -> pa.Table:
        """The rows of `data_issues.csv`; what an issue has not is null."""
        rows = [
            {name: value if value != "" else None for name, value in issue._asdict().items()} for issue in self.issues
        ]
        return pa.Table.from_pylist(rows, SCHEMA)

    def counts(self) -> dict[str, int]:
        """Number of issues of each kind."""
        return {kind: sum(issue.kind == kind for issue in self.issues) for kind in KINDS}

    def of(self, kind: str) -> list[Issue]:
        """The issues of a kind."""
        return [issue for issue in self.issues if issue.kind == kind]

    def leaks(self) -> dict[str, str]:
        """Scored pictures that are copies of training pictures, each with the training picture that is most alike."""
        found: dict[str, str] = {}
        for issue in self.of("near_duplicate"):
            if issue.split != TRAIN:
                found.setdefault(issue.ima, issue.other)
        return found


@dataclass(frozen=True)
class Gathered:
    """What the driver has of a run's pictures, by split: looks and features, and sentences about what it has not."""

    looks: Mapping[str, Rows]
    features: Mapping[str, Rows]
    notes: tuple[str, ...]


def gather(splits: Mapping[str, tuple[Extracted, Encoded]], fitted: Fitted, categories: Sequence[str]) -> Gathered:
    """Looks and features of the pictures of each split, copies aside."""
    looks, features, notes = {}, {}, []
    # features of all splits are the same projections where those of one are, so that they can be compared
    whole = all(encoded.features is not None for _, encoded in splits.values())
    width = fitted.width if whole else min(fitted.width, MOST_WIDTH)
    for split, (extracted, encoded) in splits.items():
        seed = fitted.recipe.seed
        table = encoded.looks
        if table is None:
            few = _some(extracted.originals(), extracted.described, MOST_LOOKS, seed)
            table = few.select("ima", "cat", "look").toArrow().sort_by("ima")
        values = unpacked(table["look"].combine_chunks(), np.float32, KEPT * KEPT)
        looks[split] = _rows(table.drop_columns(["look"]), values, categories)
        notes += _said(split, len(looks[split].labels), extracted.described, "copies")
        features[split] = _features(fitted, encoded, categories, width)
        notes += _said(split, len(features[split].labels), extracted.described, "wrong labels and outliers")
    return Gathered(looks, features, tuple(notes))


def look(
    splits: Mapping[str, tuple[Extracted, Encoded]],
    fitted: Fitted,
    scores: Scores | None,
    *,
    counts: Mapping[str, int],
    spark: "SparkSession",
    clock: Clock,
) -> tuple[DataIssues, Gathered]:
    """Gathers, and finds all issues; told as `find_issues`. `splits` are the training pictures and those scored,
    `counts` the training pictures by category, also those that the protocol's first round left out."""
    names = {cat for extracted, _ in splits.values() for cat in extracted.images.categories()}
    categories = [*fitted.categories, *sorted(names - set(fitted.categories))]
    with clock.operation("find_issues", "all", spark) as finding:
        gathered = gather(splits, fitted, categories)
        seen, there = len(splits["train"][0].images), sum(counts.values())
        if seen < there:
            note = f"The first round of the protocol learns from {seen:,} of {there:,} training pictures: "
            note += "the others were not looked at."
            gathered = replace(gathered, notes=(note, *gathered.notes))
        found = find(gathered, fitted, scores, {name: counts.get(name, 0) for name in categories})
        finding.facts = {**found.counts(), "leaks": len(found.leaks()), "frames": found.frames}
    return found, gathered


def find(gathered: Gathered, fitted: Fitted, scores: Scores | None, counts: Mapping[str, int]) -> DataIssues:
    """All issues of the gathered pictures. `counts` are the training pictures by category, those of labels first."""
    categories = list(counts)
    recipe, chances = fitted.recipe, dict[str, Rows]()
    if scores is not None and scores.chances is not None:
        names, labels = scores.predictions["ima"].to_pylist(), scores.predictions["label"].to_numpy().astype(np.int64)
        chances[scores.split] = Rows(names, labels, scores.chances)
    evidence = Evidence(
        categories,
        np.array(list(counts.values()), np.int64),
        gathered.looks,
        gathered.features,
        chances,
        CLASSIFIERS.get(recipe.classifier) if recipe.classifier else None,
        recipe.seed,
        available_cores(),
    )
    found = tuple(issue for kind in KINDS for issue in KINDS.get(kind).find(evidence))
    return DataIssues(found, gathered.notes, sum(evidence.frames().values()))


def _some(frame: "DataFrame", count: int, most: int, seed: int) -> "DataFrame":
    """About `most` of `count` pictures, by a hash of their names; all where there are not more."""
    from pyspark.sql import functions as F

    if count <= most:
        return frame
    place = F.pmod(F.xxhash64(F.lit(seed), F.col("ima")), F.lit(_SHARES))
    return frame.where(place < int(_SHARES * most / count))


def _chosen(names: Sequence[str], most: int, seed: int) -> NDArray[np.intp]:
    """Places of `most` pictures, by a hash of their names, in their order; of all where there are not more."""
    if len(names) <= most:
        return np.arange(len(names))
    keys = np.array([sampling.name_key(name, seed) for name in names], np.uint64)
    return np.sort(np.argpartition(keys, most)[:most])


def _said(split: str, seen: int, count: int, what: str) -> list[str]:
    if seen >= count:
        return []
    return [f"Of {count:,} {split} pictures a sample of {seen:,} was looked at for {what}."]


def _rows(table: pa.Table, values: NDArray[Any], categories: Sequence[str]) -> Rows:
    places = {name: place for place, name in enumerate(categories)}
    labels = np.array([places[cat] for cat in table["cat"].to_pylist()], np.int64)
    return Rows(table["ima"].to_pylist(), labels, values)


def _features(fitted: Fitted, encoded: Encoded, categories: Sequence[str], width: int) -> Rows:
    """What the driver holds already, or else what it is given by the executors, by `width` projections."""
    seed = fitted.recipe.seed
    if encoded.features is not None:
        known = encoded.features.originals()
        places = _chosen(known.rows["ima"].to_pylist(), MOST_ROWS, seed)
        return _rows(known.rows.take(pa.array(places)), projected(known.values[places], width, seed), categories)
    made = fitted.vectors_of()
    most = min(MOST_ROWS, MOST_VALUES // width)
    few = _some(without_copies(encoded.bags), encoded.described, most, seed)

    def rows_as(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                values = projected(made(batch), width, seed)
                small = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
                yield pa.RecordBatch.from_arrays([batch["ima"], batch["cat"], packed(small)], ["ima", "cat", "row"])

    frame = few.select("ima", "cat", *fitted.bag_columns)
    table = frame.mapInArrow(rows_as, "ima string, cat string, row binary").toArrow().sort_by("ima")
    values = unpacked(table["row"].combine_chunks(), np.float16, width)
    return _rows(table.drop_columns(["row"]), values, categories)
