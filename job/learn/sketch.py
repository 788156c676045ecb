"""Wide feature vectors, folded to a width at which a matrix of products can be held.

A classifier that learns from sums needs the products of all features with each other: with 15,000 of them, 2 GB for
each sum. So vectors of more than `MOST_WIDTH` values are folded first: the values are dealt evenly to so many places,
and each place has the sum of its own with random signs, which keeps products of vectors with each other but for about
1 / sqrt(`MOST_WIDTH`) (the count sketch of Charikar, Chen and Farach-Colton, 2002; feature hashing of Weinberger et
al., 2009). What was learned of folded vectors is unfolded, and works on vectors as they are.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_WIDTH = 4096
"""Wider vectors are folded to this width."""

# Models say the same of the same pictures, so that this is the same for all.
_SEED = 123


class _Deal(NamedTuple):
    """`places` intp (d,): where each value goes. `signs` float64 (d,): 1 or -1, what it is multiplied by. `order` intp
    (d,) sorts values by place, and the values of place p begin at `starts` intp (width,)."""

    places: NDArray[np.intp]
    signs: NDArray[np.float64]
    order: NDArray[np.intp]
    starts: NDArray[np.intp]


@lru_cache(maxsize=4)
def _deal(width: int, most: int) -> _Deal:
    random = np.random.default_rng(_SEED)
    places = random.permutation(np.arange(width) % most).astype(np.intp)
    signs = random.choice(np.array([-1.0, 1.0]), width)
    sizes = np.bincount(places, minlength=most)
    return _Deal(places, signs, np.argsort(places, kind="stable"), np.cumsum(sizes) - sizes)


def width_of(width: int) -> int:
    """Width of vectors of `width` values after `narrowed`."""
    return min(width, MOST_WIDTH)


def narrowed(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Vectors (n, d) as float64 (n, `width_of(d)`). Those that are not too wide stay as they are."""
    values = rows.astype(np.float64, copy=False)
    if rows.shape[1] <= MOST_WIDTH:
        return values
    deal = _deal(rows.shape[1], MOST_WIDTH)
    return np.asarray(np.add.reduceat(values[:, deal.order] * deal.signs[deal.order], deal.starts, axis=1), np.float64)


def widened(rows: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The vectors (n, width) whose products with any vectors (d = width) are those of `rows` with these when folded."""
    if width <= MOST_WIDTH:
        return rows
    deal = _deal(width, MOST_WIDTH)
    return rows[:, deal.places] * deal.signs
