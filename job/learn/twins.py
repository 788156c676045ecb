"""Pictures that are copies of others: the same, recompressed, scaled, or mirrored; by their looks (`job.vision.look`).

Mirroring a picture changes nothing but the signs of the coefficients of odd horizontal frequency, so that these are
taken without their signs: a mirrored copy is found as any other. Compression and scaling change most what is symmetric,
such as the outline of a fruit in the middle and its contrast with the background: coefficients of even frequency in
both directions. Of the others copies differ far less than two frames of a video do, so that these decide.

Distances are in levels of grey, of 0 to 255.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from job.threads import Threads

# Pairs of a row: where hundreds of pictures are the same, not each of them is paired with each.
MOST = 10
# Rows that are compared with all others at a time, at most, and the most distances of them: 64 MB as float32.
_BLOCK, _DISTANCES = 1024, 1 << 24


class Twins(NamedTuple):
    """Pairs of rows, intp (p,) each, and the distance of each pair, float64 (p,), in levels of grey."""

    rows: NDArray[np.intp]
    others: NDArray[np.intp]
    distances: NDArray[np.float64]


def block_rows(others: int) -> int:
    """Number of rows that are compared with so many others at a time."""
    return max(1, min(_BLOCK, _DISTANCES // max(1, others)))


def signatures(looks: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What looks (n, k * k) are compared by: all of it, float32 (n, k * k), and what decides, float32 (n, w)."""
    side = round(looks.shape[1] ** 0.5)
    place = np.arange(looks.shape[1])
    odd_down, odd_across = place // side % 2 == 1, place % side % 2 == 1
    whole = np.where(odd_across, np.abs(looks), looks).astype(np.float32)
    return whole, np.ascontiguousarray(whole[:, odd_down | odd_across])


def distances(
    rows: NDArray[np.float32], others: NDArray[np.float32], left: NDArray[np.intp], right: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Distance of each pair: row `left` (p,) of `rows` and row `right` (p,) of `others`; float64 (p,)."""
    found = np.empty(len(left))
    for start in range(0, len(left), _BLOCK * 16):
        part = slice(start, start + _BLOCK * 16)
        differences = rows[left[part]].astype(np.float64) - others[right[part]]
        found[part] = np.sqrt(np.einsum("nd,nd->n", differences, differences))
    return found


def search(
    rows: NDArray[np.float32],
    others: NDArray[np.float32],
    radius: NDArray[np.floating],
    *,
    same: bool = False,
    threads: int = 1,
) -> Twins:
    """All pairs of `rows` (n, d) and `others` (m, d) that are not farther from each other than `radius` (n,), but for
    each row not more than the `MOST` nearest.

    With `same`, both are the same rows, and each pair is found once: `rows` before `others`, in their order.
    """
    squares, block = np.einsum("nd,nd->n", others, others), block_rows(len(others))

    def work(start: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        part, limit = rows[start : start + block], radius[start : start + block]
        own = np.einsum("nd,nd->n", part, part)
        first = start if same else 0
        found = part @ others[first:].T
        found *= -2
        found += squares[first:]
        # products of float32 leave rounding, which is let through here and looked at below
        slack = 1e-5 * (own + squares.max(initial=0))
        close = found <= (np.square(limit) + slack - own)[:, None]
        if same:
            close[:, : len(part)] &= ~np.tri(len(part), dtype=np.bool_)
        left, right = [], []
        for row in np.flatnonzero(close.any(axis=1)).tolist():  # few rows have any
            own_ones = np.flatnonzero(close[row])
            if len(own_ones) > MOST:
                own_ones = np.sort(own_ones[np.argpartition(found[row, own_ones], MOST)[:MOST]])
            left.append(np.full(len(own_ones), row + start))
            right.append(own_ones + first)
        return (np.concatenate(left), np.concatenate(right)) if left else (np.empty(0, np.intp), np.empty(0, np.intp))

    starts = range(0, len(rows), block)
    with Threads(threads) as pool:
        parts = list(pool.map(work, starts))
    left = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.intp)
    right = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.intp)
    apart = distances(rows, others, left, right)
    kept = apart <= radius[left]
    return Twins(left[kept], right[kept], apart[kept])


def steps(rows: NDArray[np.float32], labels: NDArray[np.int64], categories: int) -> NDArray[np.float64]:
    """Median distance of the pictures of each category from the nearest other one of it: float64 (categories,).

    In a video of a turning fruit this is the step from one frame to the next. Infinite where there are fewer than two.
    """
    found = np.full(categories, np.inf)
    order = np.argsort(labels, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(own) > 1:
            found[labels[own[0]]] = np.median(_nearest(rows[own].astype(np.float64)))
    return found


def _nearest(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each row from the nearest other one, (n,)."""
    squares, block = np.einsum("nd,nd->n", rows, rows), block_rows(len(rows))
    found = np.empty(len(rows))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        apart = squares[start : start + block, None] - 2 * (part @ rows.T) + squares
        apart[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found[start : start + block] = np.sqrt(np.maximum(apart.min(axis=1), 0))
    return found


def joined(count: int, pairs: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> NDArray[np.int64]:
    """A number for each of `count` rows, the same for rows that pairs join, also by way of others: int64 (count,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left = np.concatenate([part[0] for part in pairs]) if pairs else np.empty(0, np.intp)
    right = np.concatenate([part[1] for part in pairs]) if pairs else np.empty(0, np.intp)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
