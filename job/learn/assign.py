"""Nearest words, and how often each occurs in a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.threads import Threads

# Number of scores in a block, 2 MB of float32. Smaller blocks are not worth their calls, and larger ones do not stay in
# the cache of the processor.
_BLOCK_VALUES = 1 << 19
# A block has at least this number of rows, and of scores: less is not worth a thread.
_LEAST_ROWS = 256
_LEAST_VALUES = 1 << 16
# Up to this many words, scores are laid out as (K, n), above it as (n, K). At most 255: word numbers are held in uint8.
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
    words : float32 of shape (K, d)
        On the descriptor's grid (see `job.vision.descriptors`).
    threads
        Threads that blocks of descriptors are worked on by; None: the calling thread. A caller that assigns many times
        makes them once.

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
    """Cuts a (rows, columns) matrix of scores into blocks of rows of about the same size.

    Their number is a multiple of the number of threads where there are enough rows, so that all threads end together.
    """
    rounds = -(-rows * columns // (_BLOCK_VALUES * threads.count))
    step = max(_LEAST_ROWS, _LEAST_VALUES // max(1, columns), -(-rows // max(1, rounds * threads.count)))
    return [slice(start, start + step) for start in range(0, rows, step)]


def best_words(
    descriptors: NDArray[np.generic], words: NDArray[np.float32], offsets: NDArray[np.float32], second: bool = False
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32] | None]:
    """The best word of each descriptor, by the score x.w_k - |w_k|^2 / 2.

    Scores of few words are laid out as (K, n), so that maxima and comparisons run along whole rows. Scores of many
    words are laid out as (n, K), because `argmax` then reads them only once. Each is the faster for its number of words
    (tests/benchmarks/engine.py measures vocabularies of both kinds).

    Parameters
    ----------
    descriptors : whole numbers or float32 of shape (n, d)
    words : float32 of shape (K, d)
    offsets : float32 of shape (K,)
        The words' `half_squares`.
    second
        Whether the second highest score is wanted.

    Returns
    -------
    The number of the best word, the lowest of equally good ones; its score; and with `second` the highest score of all
    other words, else None. Each is of shape (n,).

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
    """Bags of words: how often each word occurs in each picture.

    Parameters
    ----------
    nearest : int32 of shape (n,)
        The word of each descriptor, in 0..k-1.
    pictures : whole numbers of shape (n,)
        The picture that each descriptor is from, in 0..count-1.
    count, k
        Number of pictures, and of words.

    Returns
    -------
    int32 of shape (count, k).

    """
    flat = pictures.astype(np.int64) * k + nearest
    return np.bincount(flat, minlength=count * k).astype(np.int32).reshape(count, k)
