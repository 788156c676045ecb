"""What the blocks of a run's features look like: words as the places or patches that they stand for, histograms as what
they count. Each is made of numbers and small pictures alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from job.report import figures, text

# A figure with a row for each category stops being read beyond so many of them.
CATEGORIES_SHOWN = 24
# Values of a histogram of anything else than colours that are drawn as bars.
MOST_BARS = 128


@dataclass(frozen=True)
class Block:
    """A block of features as the report shows it.

    Attributes
    ----------
    title, note
        Its heading, and the sentences below it.
    words
        Words with some of the places that they were found at: the word's number and PNG patches.
    looks
        Words that can be seen by themselves: the word's number and a PNG picture.
    figure
        A figure of another kind, or None.

    """

    title: str
    note: str
    words: Sequence[tuple[int, Sequence[bytes]]] = ()
    looks: Sequence[tuple[int, bytes]] = ()
    figure: Markup | None = None


def places(name: str, words: Sequence[tuple[int, Sequence[bytes]]], total: int) -> Block:
    """Some of the `total` words of a local descriptor, each with places whose descriptors were given to it."""
    note = (
        "Each row is one word: places whose descriptors were given to it. They should have the same shape; descriptors "
        "see no colour, and most of them no rotation."
    )
    return Block(f"Visual words of {name}", note + _of(len(words), total), words=words)


def looks(name: str, pictures: Sequence[tuple[int, bytes]], total: int) -> Block:
    """Some of the `total` words that can be seen by themselves."""
    note = "Each square is one word, as it looks. A picture is described by the words that parts of it resemble."
    return Block(f"Visual words of {name}", note + _of(len(pictures), total), looks=pictures)


def colours(name: str, rows: Sequence[tuple[str, NDArray[np.float64]]], palette: NDArray[np.uint8], each: str) -> Block:
    """Shares of colours by category, (width,) each, whose colours are `palette`, uint8 (width, 3), red first; `each`
    says what they are the means of."""
    shown = rows[:CATEGORIES_SHOWN]
    note = (
        f"Each strip is the histogram of {each} of a category: as much of each colour as the descriptor finds, in "
        f"the order of hues.{_cut(rows)}"
    )
    return Block(f"Colours of {name}", note, figure=figures.colour_strips(shown, palette))


def values(name: str, rows: Sequence[tuple[str, NDArray[np.float64]]], each: str) -> Block | None:
    """Values of a descriptor by category, (width,) each, as bars; None where they are too many to be seen."""
    if not rows or len(rows[0][1]) > MOST_BARS:
        return None
    shown = rows[:CATEGORIES_SHOWN]
    note = (
        f"Each row has the {len(rows[0][1])} values of the descriptor, as the mean of {each} of a category.{_cut(rows)}"
    )
    return Block(f"Values of {name}", note, figure=figures.profiles(shown))


def _of(shown: int, total: int) -> str:
    return f" {shown} of {text.number(total)} words are shown." if shown < total else ""


def _cut(rows: Sequence[object]) -> str:
    return (
        f" {CATEGORIES_SHOWN} of {text.number(len(rows))} categories are shown." if len(rows) > CATEGORIES_SHOWN else ""
    )
