"""How sure a figure is: intervals by drawing categories anew, and paired differences between two models.

Pictures of one category are frames of one turning fruit, far from independent; what would differ in another data set is
its categories. So categories are drawn, with all that is known of each.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over categories, with the bounds between which most means of drawn categories lie."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def accuracies(right: NDArray[np.bool_], labels: NDArray[np.integer[Any]], categories: int) -> NDArray[np.float64]:
    """The share of right predictions in each category: float64 (C,), NaN where it has no pictures."""
    counts = np.bincount(labels, minlength=categories)
    hits = np.bincount(labels, right.astype(np.float64), minlength=categories)
    return np.asarray(np.divide(hits, counts, out=np.full(categories, np.nan), where=counts > 0), np.float64)


def interval(values: NDArray[np.floating[Any]], seed: int = 0, *, draws: int = DRAWS, level: float = LEVEL) -> Interval:
    """The mean of one value a category, NaN left out, and its interval by the percentiles of drawn categories.

    Of no category mean and bounds are NaN; of a single one the bounds are its value.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    means = known[random.integers(0, len(known), (draws, len(known)))].mean(axis=1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(known.mean()), float(low), float(high))


def difference(
    values: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]], seed: int = 0, **options: Any
) -> Interval:
    """The mean difference `values` - `others` between two models on the same categories, and its interval."""
    return interval(np.asarray(values, np.float64) - np.asarray(others, np.float64), seed, **options)


def over_folds(
    values: NDArray[np.floating[Any]], seed: int = 0, *, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """The mean of values (folds, categories), NaN left out, and its interval by drawing folds and categories anew.

    A category's value is the mean over the folds in which it was scored. In a draw both are drawn: folds with all their
    categories, and categories with all that is known of each.
    """
    table = np.asarray(values, np.float64)
    known = table[:, ~np.isnan(table).all(axis=0)]
    if not known.size:
        return Interval(float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    folds, categories = known.shape
    there, filled = (~np.isnan(known)).astype(np.float64), np.nan_to_num(known)
    # How often each fold was drawn: the mean over drawn folds is a product with these counts.
    times = random.multinomial(folds, np.full(folds, 1 / folds), draws).astype(np.float64)
    counts = times @ there
    means = np.divide(times @ filled, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    chosen = np.take_along_axis(means, random.integers(0, categories, (draws, categories)), axis=1)
    scored = ~np.isnan(chosen)
    drawn = np.nansum(chosen, axis=1)[scored.any(axis=1)] / scored.sum(axis=1)[scored.any(axis=1)]
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float((filled.sum(axis=0) / there.sum(axis=0)).mean()), float(low), float(high))
