"""Sums over two halves of the training pictures: those that probabilities are calibrated on, and all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from job.learn import sampling
from job.learn.moments import Moments, moments


@dataclass(frozen=True)
class Halves:
    """Sums over the rows that are held out to calibrate, and over all others. Parts of them add up."""

    rest: Moments
    held: Moments

    @classmethod
    def over(
        cls,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        categories: int,
        weights: NDArray[np.float64],
        held: NDArray[np.bool_],
    ) -> "Halves":
        """Sums over features (n, d) with labels (n,) and weights (n,); `held` (n,) says which rows are held out."""
        parts = [moments(features, labels, categories, weights, chosen=rows) for rows in (~held, held)]
        return cls(*parts)

    def __add__(self, other: "Halves") -> "Halves":
        """The sums over both parts."""
        return Halves(self.rest + other.rest, self.held + other.held)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As arrays by name, for `of`; those of parts may be added up."""
        halves = {"rest": self.rest.arrays(), "held": self.held.arrays()}
        return {f"{half}.{name}": value for half, found in halves.items() for name, value in found.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.float64]]) -> "Halves":
        """What `arrays` gave."""
        halves: dict[str, dict[str, NDArray[np.float64]]] = {"rest": {}, "held": {}}
        for name, value in arrays.items():
            half, _, own = name.partition(".")
            halves[half][own] = value
        return cls(Moments.of(halves["rest"]), Moments.of(halves["held"]))


def held_out(names: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Which pictures are held out to calibrate: every fifth, by a hash of its name and the seed; bool of shape (n,)."""
    return np.array([sampling.name_key(name, seed) % 5 == 0 for name in names], np.bool_)


def checked(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The labels (n,). ValueError where one of them is not from 0 to `count` - 1."""
    if labels.min() < 0 or labels.max() >= count:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"The label {wrong} has no category: labels go from 0 to {count - 1}.")
    return labels
