"""A protocol's rounds: each trains on some pictures and is scored on others, beside simpler recipes on the same ones.

The bare histogram of colours is always among them, so that nobody takes for understanding what colours alone give.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job import dataset
from job.errors import UserError
from job.experiment.clock import Clock
from job.experiment.extract import Extracted, Partitioning, extract
from job.experiment.fit import Encoded, Fitted, TooManyWordsError, encode, fit
from job.experiment.recipe import Block, Recipe
from job.experiment.score import Scores, score
from job.learn import intervals
from job.learn.protocols import PROTOCOLS
from job.learn.protocols.base import Names, Round, Scored

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from job.stages import VisualVocabularyModel

OWN = "recipe"
# Recipes beside the run's own: a histogram of colours, and the prototype's algorithm.
BESIDE: Mapping[str, Recipe] = {
    "hsv": Recipe(blocks=(Block("hsv", "root", 1),), scaled=True, classifier="logistic"),
    "reference": Recipe(
        blocks=(Block("sift", "counts", 50),),
        sample=-1,
        start="random",
        tolerance=0.0,
        components=35,
        classifier="mlp",
    ),
}

# The columns of `protocols.csv`, whose types are the same where no row has a value.
_TEXTS = ("round", "split", "model")
_FIGURES = ("accuracy", "low", "high", "difference", "difference_low", "difference_high", "calibration_error")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        ("pictures", pa.int64()),
        *((name, pa.float64()) for name in _FIGURES),
        ("in_copies", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Row:
    """How one recipe did in one round on one scored split.

    Attributes
    ----------
    round, split, model
        Names of the round, of what was scored, and of the recipe: "recipe" is the run's own.
    pictures
        Number of pictures that were scored: those that the recipe could describe.
    accuracy
        Mean of the categories' shares of right predictions, and the interval that comes of drawing categories anew;
        None where no picture was scored.
    difference
        The run's own recipe less this one, category by category; None for the run's own, and where no category was
        scored by both.
    calibration_error
        Expected calibration error; None where no picture was scored.
    in_copies
        Whether the recipe learned from changed copies that have such a disturbance; None for pictures as they are.

    """

    round: str
    split: str
    model: str
    pictures: int
    accuracy: intervals.Interval | None
    difference: intervals.Interval | None
    calibration_error: float | None
    in_copies: bool | None = None

    def public(self) -> dict[str, Any]:
        """As JSON values, one for each column of `protocols.csv`; None where there is no figure."""
        own, less = self.accuracy, self.difference
        return {
            "round": self.round,
            "split": self.split,
            "model": self.model,
            "pictures": self.pictures,
            "accuracy": None if own is None else own.mean,
            "low": None if own is None else own.low,
            "high": None if own is None else own.high,
            "difference": None if less is None else less.mean,
            "difference_low": None if less is None else less.low,
            "difference_high": None if less is None else less.high,
            "calibration_error": self.calibration_error,
            "in_copies": self.in_copies,
        }


@dataclass(frozen=True)
class Outcome:
    """The first round of a protocol in full, and a row for each recipe, round and scored split."""

    images: Mapping[str, dataset.Images]
    train: Extracted
    test: Extracted
    fitted: Fitted
    encoded: Encoded
    scores: Scores | None
    rows: tuple[Row, ...]


def names_of(images: dataset.Images) -> Names:
    """Names and categories of a listing."""
    return Names(images.table["ima"].to_pylist(), images.table["cat"].to_pylist())


def planned(protocol: str, train: dataset.Images, test: dataset.Images, seed: int) -> tuple[Round, ...]:
    """The rounds of a protocol. The standard one needs no names. ValueError when it can't be made of these pictures."""
    if protocol == "standard":
        return PROTOCOLS.get(protocol).rounds(Names((), ()), Names((), ()), seed)
    return PROTOCOLS.get(protocol).rounds(names_of(train), names_of(test), seed)


class Rounds:
    """Works through the rounds of a protocol.

    Parameters
    ----------
    spark
        The session.
    recipe
        The run's own recipe.
    listings
        The pictures of `train` and `test` that rounds choose from.
    partitioning
        How pictures are spread over tasks.
    clock
        Is told the steps of the first round, and one step `protocol` for each further result.
    check
        Is called with each described split of the run's own recipe; raises UserError where it can't be used.
    cached
        Address of a cache of descriptors, or None.
    warn
        Is called with a sentence for each recipe beside the run's own that is left out of a round.

    """

    def __init__(
        self,
        spark: "SparkSession",
        recipe: Recipe,
        listings: Mapping[str, dataset.Images],
        partitioning: Partitioning,
        *,
        clock: Clock,
        check: Any,
        cached: str | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._warn = warn
        self._spark, self._recipe, self._listings = spark, recipe, listings
        self._partitioning, self._clock, self._check, self._cached = partitioning, clock, check, cached

    def work(self, rounds: tuple[Round, ...]) -> Outcome:
        """All rounds. What the first one made stays with the executors; all else is let go again."""
        first, clock = rounds[0], self._clock
        train = self._described(first.train, self._recipe, clock, training=True)
        fitted = fit(train, self._recipe, cores=self._partitioning.cores, clock=clock)
        test = self._described(first.tests[0], self._recipe, clock)
        encoded = encode(fitted, test, cores=self._partitioning.cores, clock=clock)
        scores = None
        if self._recipe.classifier is not None:
            scores = score(fitted, encoded, test.images.split, spark=self._spark, clock=clock)
        rows: list[Row] = []
        if scores is not None and (len(rounds) > 1 or len(first.tests) > 1 or self._recipe.protocol != "standard"):
            for number, each in enumerate(rounds):
                rows += self._round(each, (fitted, {first.tests[0].name: scores}) if not number else None)
        images = {"train": train.images, "test": test.images}
        return Outcome(images, train, test, fitted, encoded, scores, tuple(rows))

    def scores(
        self,
        each: Round,
        train: Extracted | None = None,
        encoders: "tuple[VisualVocabularyModel, ...] | None" = None,
    ) -> dict[str, Scores]:
        """Scores of the run's own recipe in one round, by split. `train` are its training pictures where they are
        described already, and `encoders` what its blocks have learned from them."""
        return self._scored(each, self._recipe, None, {}, train, encoders)

    def _round(self, each: Round, known: tuple[Fitted, dict[str, Scores]] | None) -> list[Row]:
        """The rows of one round. `known` is what is fitted and scored of it already. A recipe of `BESIDE` that can't
        be learned from the round's pictures is told of and left out."""
        fitted, scored = known or (None, {})
        own_recipe = self._recipe
        beside = {name: replace(plan, seed=own_recipe.seed, mask=own_recipe.mask) for name, plan in BESIDE.items()}
        recipes = {OWN: own_recipe, **beside}
        found = {OWN: self._scored(each, own_recipe, fitted, dict(scored))}
        for name, recipe in beside.items():
            try:
                found[name] = self._scored(each, recipe, None, {})
            except UserError as error:
                # --words is a setting of the run's own recipe, and no way out here
                why = f"{error.reason}." if isinstance(error, TooManyWordsError) else error.message
                self._warn(f"The recipe '{name}' is left out of the round '{each.name}' of the protocol: {why}")
        rows = []
        for part in each.tests:
            own = _by_category(found[OWN][part.name])
            for name, by_split in found.items():
                scores = by_split[part.name]
                values = _by_category(scores)
                less = None if name == OWN else _measured(intervals.difference(own, values))
                row = Row(
                    each.name,
                    part.name,
                    name,
                    scores.predictions.num_rows,
                    _measured(intervals.interval(values)),
                    less,
                    scores.calibration_error,
                    _in_copies(part.disturbance, recipes[name]),
                )
                rows.append(row)
        return rows

    def _scored(
        self,
        each: Round,
        recipe: Recipe,
        fitted: Fitted | None,
        scored: dict[str, Scores],
        train: Extracted | None = None,
        encoders: "tuple[VisualVocabularyModel, ...] | None" = None,
    ) -> dict[str, Scores]:
        """Scores of one recipe by the round's splits, in their order."""
        cores, quiet = self._partitioning.cores, self._clock.aside()
        if fitted is None:
            train = train or self._described(each.train, recipe, quiet, training=True)
            try:
                fitted = fit(train, recipe, cores=cores, clock=quiet, encoders=encoders)
            except BaseException:
                train.frame.unpersist()
                raise
            _let_go(train, fitted.train)
        for part in each.tests:
            if part.name not in scored:
                test = self._described(part, recipe, quiet)
                encoded = encode(fitted, test, cores=cores, clock=quiet)
                scored[part.name] = score(fitted, encoded, part.name, spark=self._spark, clock=quiet)
                _let_go(test, encoded)
        return {part.name: scored[part.name] for part in each.tests}

    def _described(self, part: Scored, recipe: Recipe, clock: Clock, *, training: bool = False) -> Extracted:
        images = self._listings[part.source]
        if part.rows is not None:
            images = images.take(part.rows)
        images = replace(images, split="train" if training else "test")
        done = extract(
            self._spark,
            images,
            recipe,
            self._partitioning,
            clock=clock,
            cached=self._cached,
            training=training,
            disturbance=part.disturbance,
        )
        if recipe.blocks == self._recipe.blocks:
            self._check(done)
        return done


def _let_go(extracted: Extracted, encoded: Encoded) -> None:
    encoded.bags.unpersist()
    extracted.frame.unpersist()


def _by_category(scores: Scores) -> NDArray[np.float64]:
    """Share of right predictions of each category; NaN where it has no pictures."""
    table = scores.categories
    return np.array([np.nan if value is None else value for value in table["recall"].to_pylist()], np.float64)


def _in_copies(disturbance: str | None, recipe: Recipe) -> bool | None:
    if disturbance is None:
        return None
    from job.vision.disturb import is_in_copies

    return is_in_copies(disturbance, recipe.copies)


def _measured(found: intervals.Interval) -> intervals.Interval | None:
    """A mean over categories and its interval; None where no category has a value."""
    return None if np.isnan(found.mean) else found


def table(rows: tuple[Row, ...]) -> pa.Table:
    """The rows as a table, with the columns of `protocols.csv`."""
    return pa.Table.from_pylist([row.public() for row in rows], _SCHEMA)
