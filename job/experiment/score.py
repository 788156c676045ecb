"""Scoring: what a fitted model says of the pictures of a split, and how often it is right."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job.columns import packed, predicted, unpacked
from job.experiment.clock import Clock
from job.experiment.fit import MOST_CELLS, Encoded, Fitted
from job.learn.calibration import expected_error
from job.report import tables
from job.report.text import PREVIEW_ROWS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PREDICTED = ("prediction", "predicted_cat", "probability")


@dataclass(frozen=True)
class Scores:
    """How a fitted model did on a split.

    Attributes
    ----------
    split
        Name of the split.
    predictions
        Table `ima, cat, label, prediction, predicted_cat, probability`, the last one of the predicted category.
    confusion_matrix, categories
        Pictures by true and predicted category; precision, recall, F1 and support of each category.
    accuracy
        Share of the pictures that were given their own category; None where none was described.
    calibration_error
        Expected calibration error: mean distance between how sure predictions are and how often they are right; None
        where no picture was described.
    chances
        float64 (n, C): the probability of each category for the pictures of `predictions`; None where there are too
        many to be kept.

    """

    split: str
    predictions: pa.Table
    confusion_matrix: pa.Table
    categories: pa.Table
    accuracy: float | None
    calibration_error: float | None
    chances: NDArray[np.float64] | None = None

    def tables(self) -> dict[str, pa.Table]:
        """All tables by the names of their files."""
        return {
            "predictions": self.predictions,
            "confusion_matrix": self.confusion_matrix,
            "categories": self.categories,
        }

    def guesses(self) -> pa.Table | None:
        """`ima, second_cat, second_probability, place`: the second guess for each picture, and the place of its own
        category among all guesses, 1 for a right prediction. None where chances are not kept, or of one category."""
        if self.chances is None or self.chances.shape[1] < 2:
            return None
        rows, labels = np.arange(len(self.chances)), self.predictions["label"].to_numpy().astype(np.int64)
        first = self.predictions["prediction"].to_numpy().astype(np.int64)
        own = self.chances[rows, labels]
        # of equally probable categories the first one is guessed first
        before = np.arange(self.chances.shape[1]) < labels[:, None]
        places = 1 + ((self.chances > own[:, None]) | ((self.chances == own[:, None]) & before)).sum(axis=1)
        others = self.chances.copy()
        others[rows, first] = -1.0
        second = others.argmax(axis=1)
        return pa.table(
            {
                "ima": self.predictions["ima"],
                "second_cat": self.categories["cat"].take(pa.array(second)),
                "second_probability": pa.array(others[rows, second]),
                "place": pa.array(places),
            }
        )


def score(fitted: Fitted, encoded: Encoded, split: str, *, spark: "SparkSession", clock: Clock) -> Scores:
    """Predicts and scores the pictures of a split; told as `evaluate`."""
    assert fitted.classifier is not None
    with clock.operation("evaluate", split, spark) as finding:
        if encoded.features is None:
            table = _predicted(fitted, encoded).toArrow()
            order = pc.sort_indices(table["ima"])
            rows = table.select(["ima", "cat", "label"]).take(order)
            chances = unpacked(table["probability"], np.float64, len(fitted.categories))[order.to_numpy()]
        else:
            rows, chances = encoded.features.rows, fitted.classifier.transform_arrays(encoded.features.values)
        found = _scores(split, rows, chances, fitted.categories)
        known = {} if found.accuracy is None else {"accuracy": round(found.accuracy, 4)}
        finding.facts = {"pictures": rows.num_rows, **known}
        finding.preview = found.categories.slice(0, PREVIEW_ROWS)
    return found


def _predicted(fitted: Fitted, encoded: Encoded) -> "DataFrame":
    """A frame `ima, cat, probability, label` of pictures whose features are on the executors."""
    from pyspark.sql.types import BinaryType

    assert fitted.classifier is not None
    chances_of = fitted.classifier.chances_of()
    return fitted.labelled(encoded.bags, "probability", BinaryType(), lambda rows: packed(chances_of(rows)))


def _scores(split: str, rows: pa.Table, chances: NDArray[np.float64], categories: tuple[str, ...]) -> Scores:
    best = chances.argmax(axis=1)
    labels, names = rows["label"].to_numpy().astype(np.int64), list(categories)
    columns = [*predicted(chances, names), pa.array(chances[np.arange(len(best)), best])]
    return Scores(
        split,
        pa.Table.from_arrays([*rows.columns, *columns], [*rows.column_names, *PREDICTED]),
        tables.confusion_matrix(labels, best, names),
        tables.categories_table(labels, best, names),
        float((labels == best).mean()) if len(labels) else None,
        expected_error(chances, labels) if len(labels) else None,
        chances if chances.size <= MOST_CELLS else None,
    )
