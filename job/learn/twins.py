"""Pictures that are copies of others: the same, recompressed, scaled, or mirrored; by tiny grey copies of them.

Of each tiny copy the coefficients of lowest frequency of a two-dimensional cosine transform are kept, as in perceptual
hashes (Zauner, 2010), but as numbers and not as bits. Mirroring a picture changes nothing but the signs of the
coefficients of odd horizontal frequency, so that these are taken without their signs: a mirrored copy is found as any
other. Distances of what is kept are those of the tiny copies or less; they are in levels of grey, of 0 to 255.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from job.threads import Threads

# Frequencies that are kept in each direction.
KEPT = 10
# Rows that are compared with all others at a time.
_BLOCK = 1024


class Twins(NamedTuple):
    """Pairs of rows, intp (p,) each, and the distance of each pair, float64 (p,), in levels of grey."""

    rows: NDArray[np.intp]
    others: NDArray[np.intp]
    distances: NDArray[np.float64]


def signatures(looks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What looks (n, SIDE * SIDE) are compared by: float32 (n, KEPT * KEPT)."""
    side = round(looks.shape[1] ** 0.5)
    kept = min(KEPT, side)
    place, frequency = np.arange(side), np.arange(kept)[:, None]
    # The orthonormal cosine transform (DCT-II), divided so that distances are root mean squares of a tiny copy.
    basis = np.cos(np.pi * frequency * (2 * place + 1) / (2 * side)) * (2 / side) ** 0.5
    basis[0] /= 2**0.5
    found = np.einsum("ur,nrc,vc->nuv", basis, looks.reshape(-1, side, side).astype(np.float64), basis, optimize=True)
    found[:, :, 1::2] = np.abs(found[:, :, 1::2])
    return np.asarray(found.reshape(len(looks), -1) / side, np.float32)


def search(
    rows: NDArray[np.float32],
    others: NDArray[np.float32],
    radius: NDArray[np.floating],
    *,
    same: bool = False,
    threads: int = 1,
) -> Twins:
    """All pairs of `rows` (n, d) and `others` (m, d) that are not farther from each other than `radius` (n,).

    With `same`, both are the same rows, and each pair is found once: `rows` before `others`, in their order.
    """
    squares = np.einsum("nd,nd->n", others, others)

    def work(start: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        part, limit = rows[start : start + _BLOCK], radius[start : start + _BLOCK]
        own = np.einsum("nd,nd->n", part, part)
        first = start if same else 0
        found = part @ others[first:].T
        found *= -2
        found += squares[first:]
        # products of float32 leave rounding, which is let through here and looked at below
        slack = 1e-5 * (own + squares.max(initial=0))
        near = np.argwhere(found <= (np.square(limit) + slack - own)[:, None])
        return near[:, 0] + start, near[:, 1] + first

    starts = range(0, len(rows), _BLOCK)
    with Threads(threads) as pool:
        parts = list(pool.map(work, starts))
    left = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.intp)
    right = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.intp)
    if same:
        kept = left < right
        left, right = left[kept], right[kept]
    distances = _exact(rows, others, left, right)
    kept = distances <= radius[left]
    return Twins(left[kept], right[kept], distances[kept])


def _exact(
    rows: NDArray[np.float32], others: NDArray[np.float32], left: NDArray[np.intp], right: NDArray[np.intp]
) -> NDArray[np.float64]:
    found = np.empty(len(left))
    for start in range(0, len(left), _BLOCK * 16):
        part = slice(start, start + _BLOCK * 16)
        differences = rows[left[part]].astype(np.float64) - others[right[part]]
        found[part] = np.sqrt(np.einsum("nd,nd->n", differences, differences))
    return found


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
    squares = np.einsum("nd,nd->n", rows, rows)
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        distances = squares[start : start + _BLOCK, None] - 2 * (part @ rows.T) + squares
        distances[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found[start : start + _BLOCK] = np.sqrt(np.maximum(distances.min(axis=1), 0))
    return found


def joined(count: int, pairs: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> NDArray[np.int64]:
    """A number for each of `count` rows, the same for rows that pairs join, also by way of others: int64 (count,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left = np.concatenate([part[0] for part in pairs]) if pairs else np.empty(0, np.intp)
    right = np.concatenate([part[1] for part in pairs]) if pairs else np.empty(0, np.intp)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
