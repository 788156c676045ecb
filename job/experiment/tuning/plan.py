"""Which pictures are learned from and scored: folds, rungs of ever more pictures, and the protocol within each fold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job import dataset
from job.errors import UsageError, UserError
from job.learn import groups
from job.learn.protocols import PROTOCOLS
from job.learn.protocols.base import Names

# A rung has at least so many pictures a category, since fewer say nothing of a candidate.
LEAST = 16
# What the first rungs take of all pictures, and what they take of them where there are many candidates.
_SHARES, _SHARES_OF_MANY = (4,), (4, 2)
_MANY = 20
# With fewer candidates than this, dropping some is not worth a further fit of the others.
_FEW = 5


@dataclass(frozen=True)
class Pictures:
    """The training pictures that could be described, those of the first rung first, and by name within each rung.

    Attributes
    ----------
    names, cats
        Names and categories.
    rungs
        Number of pictures up to the end of each rung.
    groups, folds
        int64 (n,): the group of each picture, and the fold that its group is in.
    grouped_by
        What made the groups: "frames" of a turn, a "pattern", or near-"duplicates".

    """

    names: Sequence[str]
    cats: Sequence[str]
    rungs: tuple[int, ...]
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    grouped_by: str

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the labels 0, 1, ..., alphabetical."""
        return tuple(sorted(set(self.cats)))

    def labels(self) -> NDArray[np.int64]:
        """The label of each picture."""
        return np.searchsorted(np.array(self.categories), np.array(self.cats)).astype(np.int64)

    def table(self) -> pa.Table:
        """`ima, cat, group, fold, rung`, the last two counted from 1, as `folds.csv` has them."""
        rung = 1 + np.searchsorted(np.array(self.rungs), np.arange(len(self.names)), side="right")
        return pa.table(
            {
                "ima": pa.array(self.names, pa.string()),
                "cat": pa.array(self.cats, pa.string()),
                "group": self.groups,
                "fold": self.folds + 1,
                "rung": rung,
            }
        )

    @classmethod
    def of(cls, table: pa.Table, grouped_by: str) -> "Pictures":
        """What `table` gave."""
        rung = table["rung"].to_numpy()
        ends = tuple(int((rung <= number).sum()) for number in range(1, int(rung.max()) + 1))
        names, cats = table["ima"].to_pylist(), table["cat"].to_pylist()
        return cls(names, cats, ends, table["group"].to_numpy(), table["fold"].to_numpy() - 1, grouped_by)


@dataclass(frozen=True)
class Scored:
    """Pictures that a training is scored on: the name of the split, their rows, and what is done to them before."""

    split: str
    rows: NDArray[np.intp]
    disturbance: str


@dataclass(frozen=True)
class Training:
    """One training: its fold, the name of the protocol's round, the rows that it learns from, what is scored."""

    fold: int
    round: str
    rows: NDArray[np.intp]
    scored: tuple[Scored, ...]


def sizes(pictures: int, categories: int, candidates: int) -> tuple[int, ...]:
    """How many pictures the candidates of each rung see: a quarter and all, with many candidates also a half.

    A rung that would have too few pictures a category is left out.
    """
    if candidates < _FEW:
        return (pictures,)
    shares = _SHARES if candidates < _MANY else _SHARES_OF_MANY
    return (*(n for n in (pictures // share for share in shares) if n >= LEAST * categories), pictures)


def rungs(images: dataset.Images, wanted: Sequence[int]) -> NDArray[np.int64]:
    """The rung, from 0, in which each picture comes in: int64 (n,). Each rung takes from all categories evenly."""
    found = np.full(len(images), len(wanted) - 1, np.int64)
    places = {name: row for row, name in enumerate(images.table["ima"].to_pylist())}
    for number in reversed(range(len(wanted) - 1)):
        few = dataset.choose(images, wanted[number])
        found[[places[name] for name in few.table["ima"].to_pylist()]] = number
    return found


def grouped(
    names: Sequence[str], cats: Sequence[str], folds: int, pattern: str | None, histograms: Any
) -> tuple[NDArray[np.int64], str]:
    """The group of each picture and what made them. `histograms` gives (n, d) of them where neither names nor a pattern
    do. UsageError where the pattern finds nothing."""
    if pattern is not None:
        try:
            return groups.matching(names, re.compile(pattern)), "pattern"
        except ValueError as error:
            raise UsageError(f"--group-by groups nothing: {error}.") from None
    found = groups.turns(names, cats, folds)
    if found is not None:
        return found, "frames"
    return groups.alike(histograms(), cats, folds), "duplicates"


def trainings(pictures: Pictures, rung: int, folds: int, protocol: str, seed: int) -> list[Training]:
    """The trainings of a rung: in each fold those of the protocol, learned from pictures of the other folds and scored
    on pictures of this one.

    A category is scored only where it is learned. The protocol sees training pictures alone, in place of test ones.

    Raises
    ------
    UserError
        The protocol can't be made of these pictures, or a fold has none that can be scored.

    """
    count = pictures.rungs[rung]
    fold, cats = pictures.folds[:count], np.array(pictures.cats[:count])
    found = []
    for number in range(folds):
        rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        try:
            made = PROTOCOLS.get(protocol).rounds(_names(pictures, rest), _names(pictures, held), seed)
        except ValueError as error:
            raise UserError(f"In fold {number + 1} of {folds}: {error}") from error
        for each in made:
            sources = {"train": rest, "test": held}
            learned = _rows(sources[each.train.source], each.train.rows)
            scored = []
            for part in each.tests:
                rows = _rows(sources[part.source], part.rows)
                rows = rows[np.isin(rows, learned, invert=True) & np.isin(cats[rows], np.unique(cats[learned]))]
                scored.append(Scored(part.name, rows, part.disturbance or ""))
            if not len(learned) or not any(len(part.rows) for part in scored):
                raise UserError(
                    f"Fold {number + 1} of {folds} has no pictures whose category is learned from others: use fewer "
                    "--folds, or groups that are smaller (--group-by)."
                )
            found.append(Training(number, each.name, learned, tuple(scored)))
    return found


def _names(pictures: Pictures, rows: NDArray[np.intp]) -> Names:
    return Names([pictures.names[row] for row in rows], [pictures.cats[row] for row in rows])


def _rows(source: NDArray[np.intp], rows: NDArray[np.intp] | None) -> NDArray[np.intp]:
    return source if rows is None else source[rows]
