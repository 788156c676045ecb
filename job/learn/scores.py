"""How well predictions fit the truth: counts of true and predicted categories, and ratios of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CategoryScores:
    """Ratios for each of C categories.

    Attributes
    ----------
    precision
        float64 (C,): share of the pictures predicted as the category that are of it; NaN where none was.
    recall
        float64 (C,): share of the category's pictures that were predicted as it; NaN where it has none.
    f1
        float64 (C,): 2 TP / (2 TP + FP + FN), so that it is 0 for a category that has pictures and was never predicted;
        NaN where it neither has pictures nor was predicted.
    support
        int64 (C,): number of the category's pictures.

    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion(true: NDArray[Any], predicted: NDArray[Any], categories: int) -> NDArray[np.int64]:
    """Count pictures by true and predicted category.

    Parameters
    ----------
    true, predicted : whole numbers of any dtype, of shape (n,), in 0..categories-1
        The categories of each picture.
    categories
        Number of categories, C.

    Returns
    -------
    int64 of shape (C, C): rows are true categories, columns predicted ones.

    Raises
    ------
    ValueError
        The arrays differ in shape, or a value is no category.

    """
    if true.shape != predicted.shape:
        raise ValueError(f"{true.size} true labels and {predicted.size} predictions: each picture needs one of both.")
    rows, columns = _indices(true, categories), _indices(predicted, categories)
    flat = np.bincount(rows * categories + columns, minlength=categories * categories)
    return flat.reshape(categories, categories).astype(np.int64)


def by_category(counts: NDArray[np.int64]) -> CategoryScores:
    """The scores of each category from a confusion matrix (C, C)."""
    right, support, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return CategoryScores(
        precision=_ratio(right, claimed),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, support + claimed),
        support=support,
    )


def accuracy(counts: NDArray[np.int64]) -> float:
    """The share of pictures that were given their own category, from a confusion matrix (C, C); NaN of no pictures."""
    total = int(counts.sum())
    return int(counts.trace()) / total if total else float("nan")


def confusions(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """True category, predicted category and number of pictures of wrong predictions, most frequent first, from a
    confusion matrix (C, C)."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
    return [(*divmod(int(place), len(wrong)), int(wrong.flat[place])) for place in order]


def _indices(values: NDArray[Any], categories: int) -> NDArray[np.int64]:
    """Categories as int64."""
    numbers = np.asarray(values, dtype=np.float64)
    wrong = ~((numbers >= 0) & (numbers < categories) & (numbers == np.floor(numbers)))
    if wrong.any():
        raise ValueError(f"label {numbers[wrong][0]:g} is none of 0 to {categories - 1}.")
    return numbers.astype(np.int64)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """The quotient, NaN where `whole` is 0."""
    found = np.full(len(whole), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
