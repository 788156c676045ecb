"""First words of a k-means: random descriptors, or descriptors far from each other."""

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import best_words, blocks, half_squares, squared_lengths
from job.threads import Threads

# Far words are drawn from so many descriptors a word.
_PER_WORD = 64
DEFAULT_SEED = 123
# Of so many that are drawn the best is taken. Of one alone the inertia ends higher by 0.4 % (K = 50), 0.8 % (K = 500),
# 8 % (K = 5,000).
_TRIALS = 4


def random_words(descriptors: NDArray[np.generic], k: int) -> NDArray[np.float32]:
    """The first K distinct descriptors as words, float32 (K, d): a random start, where descriptors come in the order
    of their random keys.

    Raises
    ------
    ValueError
        There are fewer than K distinct descriptors.
    """
    seen: dict[bytes, int] = {}
    for row in range(len(descriptors)):
        seen.setdefault(descriptors[row].tobytes(), row)
        if len(seen) == k:
            return descriptors[list(seen.values())].astype(np.float32)
    raise ValueError(f"{k} words can't be learned from {len(seen)} distinct descriptors")


def far_words(
    descriptors: NDArray[np.generic], k: int, threads: Threads, seed: int = DEFAULT_SEED
) -> NDArray[np.float32]:
    """K descriptors as words, float32 (K, d), most of them far from the others.

    The greedy k-means++ (Arthur and Vassilvitskii, 2007): descriptors are drawn by odds that grow with the squared
    distance to the nearest word, and of a few the one is taken that lowers the inertia most. In rounds, as k-means||
    (Bahmani et al., 2012): the first K / 16 of descriptors in a random order, then a quarter more each time, without
    replacement (Efraimidis and Spirakis, 2006).

    After 25 iterations on 28,686 descriptors the inertia is lower than from random words by 0.4 % (K = 50), 5 %
    (K = 500), 34 % (K = 5,000).

    Raises
    ------
    ValueError
        There are fewer than K distinct descriptors.
    """
    some = descriptors[: _PER_WORD * k].astype(np.float32)
    lengths = squared_lengths(descriptors[: len(some)]).astype(np.float32)
    # The default seed gives the stream of draws with which the stored results were made.
    random = np.random.default_rng(k if seed == DEFAULT_SEED else [k, seed])
    distances = np.full(len(some), np.inf, np.float32)
    words = new = random_words(descriptors, -(-k // 16))
    while len(words) < k:
        _come_nearer(distances, some, lengths, new, threads)
        far = np.flatnonzero(distances > 0.5)  # those of whole numbers are 0, or 1 and more
        count = min(max(1, len(words) // 4), k - len(words))
        if len(far) < count:
            return random_words(descriptors, k)
        trials = min(_TRIALS, len(far) // count)
        odds = random.standard_exponential(len(far)) / distances[far]
        drawn = random.permutation(np.sort(far[np.argpartition(odds, count * trials - 1)[: count * trials]]))
        gains = _gains(distances, some, lengths, drawn, threads).reshape(count, trials)
        new = some[drawn.reshape(count, trials)[np.arange(count), gains.argmax(axis=1)]]
        words = np.concatenate([words, new])
    return words


def _come_nearer(
    distances: NDArray[np.float32],
    descriptors: NDArray[np.float32],
    lengths: NDArray[np.float32],
    words: NDArray[np.float32],
    threads: Threads,
) -> None:
    """Brings squared distances (n,) to the nearest word up to date for more words."""
    offsets = half_squares(words)

    def work(rows: slice) -> None:
        found = lengths[rows] - 2 * best_words(descriptors[rows], words, offsets)[1]
        np.minimum(distances[rows], found, out=distances[rows])

    list(threads.map(work, blocks(len(descriptors), len(words), threads)))


def _gains(
    distances: NDArray[np.float32],
    descriptors: NDArray[np.float32],
    lengths: NDArray[np.float32],
    drawn: NDArray[np.intp],
    threads: Threads,
) -> NDArray[np.float64]:
    """By how much each of the drawn descriptors would lower the sum of squared distances as a word, exact: (m,)."""
    words, own = descriptors[drawn], lengths[drawn]

    def work(rows: slice) -> NDArray[np.float64]:
        lower = descriptors[rows] @ words.T
        lower *= 2
        lower -= own
        lower += (distances[rows] - lengths[rows])[:, None]
        gains: NDArray[np.float64] = np.maximum(lower, 0, out=lower).sum(axis=0, dtype=np.float64)
        return gains

    gains: NDArray[np.float64] = np.sum([*threads.map(work, blocks(len(descriptors), len(drawn), threads))], axis=0)
    return gains
