"""Candidates beside each other: who goes on to more pictures, who wins, and which settings mattered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn import intervals

DONE, DROPPED, FAILED, UNFINISHED = "done", "dropped", "failed", "unfinished"


@dataclass(frozen=True)
class Result:
    """What a candidate has reached in one rung.

    Attributes
    ----------
    rung
        Number of the rung, from 0.
    shares
        float64 (folds, categories): share of right predictions, the mean over the protocol's rounds and splits; NaN
        where there was nothing to score.
    pictures
        Predictions that were scored, of all folds.
    fit_seconds
        Seconds in which one training was fitted, words included.
    milliseconds
        Milliseconds of one core for a new picture, from its bytes to the answer.
    bytes
        Bytes of the model's arrays.

    """

    rung: int
    shares: NDArray[np.float64]
    pictures: int
    fit_seconds: float
    milliseconds: float | None
    bytes: int

    @property
    def by_fold(self) -> NDArray[np.float64]:
        """Accuracy of each fold, the mean over its categories: (folds,)."""
        return np.array([row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else np.nan for row in self.shares])

    @property
    def accuracy(self) -> intervals.Interval:
        """The mean over categories, and the interval that comes of drawing folds and categories anew."""
        return intervals.over_folds(self.shares)

    @property
    def error(self) -> float:
        """Standard error of the mean over folds."""
        known = self.by_fold[~np.isnan(self.by_fold)]
        return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else 0.0

    @property
    def mean(self) -> float:
        """The accuracy without its interval."""
        return float(np.nanmean(known_mean(self.shares)))


def known_mean(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the first axis of what is known; NaN where nothing is."""
    there = ~np.isnan(shares)
    counts = there.sum(axis=0)
    found = np.full(counts.shape, np.nan)
    np.divide(np.where(there, shares, 0).sum(axis=0), counts, out=found, where=counts > 0)
    return found


def shares_of(found: Sequence[Mapping[str, Any]], folds: int, categories: int) -> NDArray[np.float64]:
    """`Result.shares` of the results of all trainings of a candidate."""
    right: dict[tuple[str, str], NDArray[np.float64]] = {}
    for one in found:
        for split in one["splits"]:
            table = right.setdefault((one["round"], split["split"]), np.full((folds, categories), np.nan))
            pictures = np.array(split["pictures"], np.float64)
            hits = np.array(split["right"], np.float64)
            np.divide(hits, pictures, out=table[one["fold"]], where=pictures > 0)
    return known_mean(np.stack(list(right.values())))


def survivors(results: Mapping[int, Result], kept: Sequence[int]) -> set[int]:
    """The candidates that go on to more pictures.

    These are the better half; those that nothing is both better and cheaper than, if they are within two standard
    errors of the best; and the ones that are always `kept`.
    """
    order = sorted(results, key=lambda number: (-results[number].mean, cost(results[number]), number))
    best = results[order[0]]
    front = {number for number in pareto(results) if results[number].mean >= best.mean - 2 * best.error}
    return {*order[: -(-len(order) // 2)], *front, *(number for number in kept if number in results)}


def pareto(results: Mapping[int, Result]) -> set[int]:
    """The candidates than which no other is at least as accurate and cheaper, or as cheap and more accurate."""
    found, highest = set(), -1.0
    for number in sorted(results, key=lambda number: (cost(results[number]), -results[number].mean, number)):
        if results[number].mean > highest:
            found.add(number)
            highest = results[number].mean
    return found


def cost(result: Result) -> float:
    """What a picture costs; unknown costs more than all known ones."""
    return float("inf") if result.milliseconds is None else result.milliseconds


def standing(result: Result | None) -> tuple[float, float, float]:
    """Sorts the best first: by how far they came, then by accuracy, then by cost; those without a result last."""
    if result is None:
        return 1.0, 0.0, 0.0
    return -float(result.rung), -round(result.mean, 12), cost(result)


def winner(results: Mapping[int, Result]) -> int:
    """The cheapest candidate within one standard error of the best (Breiman et al., 1984), all of one rung."""
    best = max(results.values(), key=lambda result: result.mean)
    near = [number for number, result in results.items() if result.mean >= best.mean - best.error - 1e-12]
    return min(near, key=lambda number: (cost(results[number]), results[number].bytes, -results[number].mean, number))


@dataclass(frozen=True)
class Effect:
    """A value of a setting: the mean accuracy of the candidates that have it, and how much more than of others."""

    setting: str
    value: str
    candidates: int
    accuracy: float
    effect: float


def effects(results: Mapping[int, Result], values: Mapping[int, Mapping[str, str]]) -> list[Effect]:
    """The effect of each value of each setting that differs, the settings that matter most first, in one rung."""
    found: dict[str, list[Effect]] = {}
    for setting in dict.fromkeys(name for number in results for name in values[number]):
        known = {number: values[number].get(setting, "without") for number in results}
        each = dict.fromkeys(known.values())
        if len(each) < 2:
            continue
        rows = []
        for value in each:
            own = [results[number].mean for number in known if known[number] == value]
            others = [results[number].mean for number in known if known[number] != value]
            mean = float(np.mean(own))
            rows.append(Effect(setting, value, len(own), mean, mean - float(np.mean(others))))
        found[setting] = sorted(rows, key=lambda row: -row.effect)

    def spread(setting: str) -> float:
        means = [row.accuracy for row in found[setting]]
        return max(means) - min(means)

    return [row for setting in sorted(found, key=lambda name: (-spread(name), name)) for row in found[setting]]
