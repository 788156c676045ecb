"""Nearest words, and how often each occurs in a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.threads import Threads

# Of float32, 2 MB: smaller blocks are not worth their calls, larger ones leave the cache.
_BLOCK_VALUES = 1 << 19
# Fewer rows than this are not worth a thread, nor are fewer values.
_LEAST_ROWS = 256
_LEAST_VALUES = 1 << 16
# Up to so many words scores lie as (K, n), beyond as (n, K); places among them must fit in 8 bits.
_FEW_WORDS = 128


def half_squares(words: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the squared length of each word: float32 of shape (K,), rounded once from the exact float64 sum."""
    wide = words.astype(np.float64)
    halves: NDArray[np.float32] = (0.5 * np.einsum("kd,kd->k", wide, wide)).astype(np.float32)
    return halves


def squared_lengths(descriptors: NDArray[Any]) -> NDArray[np.int64]:
    """The squared length of each descriptor, int64 (n,), exact."""
    lengths: NDArray[np.int64] = np.einsum("nd,nd->n", descriptors, descriptors, dtype=np.int64)
    return lengths


def assign(
    descriptors: NDArray[np.generic], words: NDArray[np.float32], threads: Threads | None = None
) -> NDArray[np.int32]:
    """The nearest word of each descriptor: argmin_k |x - w_k|^2 = argmax_k x.w_k - |w_k|^2 / 2.

    Parameters
    ----------
    descriptors : whole numbers of shape (n, d)
    words : float32 of shape (K, d), on the descriptor's grid (see `job.vision.descriptors`)
    threads : blocks worked on at a time, for who assigns again and again; None: one

    Returns
    -------
    int32 of shape (n,), in 0..K-1; the lowest of equally near words.

    Notes
    -----
    2 n K d operations, one blocked GEMM. Each x.w_k is exact in float32, because it needs at most 24 bits on the
    grid, so the result is a function of descriptor and words alone.
    """
    if threads is None:
        with Threads() as one:
            return assign(descriptors, words, one)
    nearest, offsets = np.empty(len(descriptors), np.int32), half_squares(words)

    def work(rows: slice) -> None:
        nearest[rows] = best_words(descriptors[rows], words, offsets)[0]

    list(threads.map(work, blocks(len(descriptors), len(words), threads)))
    return nearest


def blocks(rows: int, columns: int, threads: Threads) -> list[slice]:
    """Blocks of scores of about the same size, in whole rounds of the threads: 20 % of the time of 75 iterations on
    28,700 descriptors."""
    rounds = -(-rows * columns // (_BLOCK_VALUES * threads.count))
    step = max(_LEAST_ROWS, _LEAST_VALUES // max(1, columns), -(-rows // max(1, rounds * threads.count)))
    return [slice(start, start + step) for start in range(0, rows, step)]


def best_words(
    descriptors: NDArray[np.generic], words: NDArray[np.float32], offsets: NDArray[np.float32], second: bool = False
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32] | None]:
    """The word of the highest score x.w_k - |w_k|^2 / 2 of each descriptor, the lowest of equal ones, that score, and
    with `second` the highest of the other words: each of shape (n,). `offsets` are the words' `half_squares`.

    Scores of few words lie as (K, n), so that maxima and comparisons run along whole rows: 3/4 of the time for K = 50.
    Those of many lie as (n, K), since `argmax` reads them once: half the time for K = 5,000.
    """
    values, k = descriptors.astype(np.float32, copy=False), len(words)
    each = np.arange(len(values))
    if k > _FEW_WORDS:
        scores = values @ words.T
        scores -= offsets
        nearest = scores.argmax(axis=1)
        highest = scores[each, nearest]
        if second:
            scores[each, nearest] = -np.inf
        return nearest, highest, scores.max(axis=1) if second else None
    scores = words @ values.T
    scores -= offsets[:, None]
    highest = scores.max(axis=0)
    from_last = np.arange(k, 0, -1, dtype=np.uint8)
    nearest = k - ((scores == highest).view(np.uint8) * from_last[:, None]).max(axis=0).astype(np.intp)
    if second:
        scores[nearest, each] = -np.inf
    return nearest, highest, scores.max(axis=0) if second else None


def histograms(nearest: NDArray[np.int32], pictures: NDArray[np.integer], count: int, k: int) -> NDArray[np.int32]:
    """Bags of words: int32 of shape (count, K), how often each word occurs in each picture.

    `nearest` and `pictures` have shape (n,): the word of each descriptor, and the picture it is from, in 0..count-1.
    """
    flat = pictures.astype(np.int64) * k + nearest
    return np.bincount(flat, minlength=count * k).astype(np.int32).reshape(count, k)
