"""The interface of a protocol: rounds, each of which trains on some pictures and scores on others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Names(NamedTuple):
    """The pictures of a listing: their names, and the category of each."""

    names: Sequence[str]
    cats: Sequence[str]


@dataclass(frozen=True)
class Scored:
    """Pictures that a round is scored on.

    Attributes
    ----------
    name
        Name of the split.
    source
        The listing that they are from.
    rows
        Their row numbers in it, ascending; None: all.
    disturbance
        Name of what is done to them before they are described; None: nothing.

    """

    name: str
    source: Literal["train", "test"] = "test"
    rows: NDArray[np.intp] | None = None
    disturbance: str | None = None


@dataclass(frozen=True)
class Round:
    """One training, and what it is scored on.

    Attributes
    ----------
    name
        Name of the round.
    train
        Name of the training split, and its row numbers in the training listing, ascending; None: all.
    tests
        The splits that are scored.

    """

    name: str
    train: Scored
    tests: tuple[Scored, ...]


@dataclass(frozen=True)
class Protocol:
    """A way to choose training and scored pictures.

    Attributes
    ----------
    name
        What the settings call it.
    plan
        Makes the rounds from the training listing, the test listing and a seed.

    """

    name: str
    plan: Callable[[Names, Names, int], tuple[Round, ...]]

    def rounds(self, train: Names, test: Names, seed: int) -> tuple[Round, ...]:
        """The rounds of these pictures. ValueError when the protocol can't be made of them."""
        return self.plan(train, test, seed)
