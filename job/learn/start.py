"""First words of a k-means: random descriptors, or descriptors far from each other."""

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import best_words, blocks, half_squares, squared_lengths
from job.threads import Threads

# Number of descriptors for each word among which far words are searched for.
_PER_WORD = 64
DEFAULT_SEED = 123
# Number of descriptors that are drawn for each new word; the best of them becomes the word. With a single one the
# inertia ends higher, the more so the more words there are.
_TRIALS = 4
# Squared distances between different descriptors of whole numbers are 1 or more, so that what lies below this is 0.
_APART = 0.5


def random_words(descriptors: NDArray[np.generic], k: int) -> NDArray[np.float32]:
    """The first K distinct descriptors as words, float32 (K, d).

    This is a random start, since descriptors come in the order of their random keys.

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
    """K descriptors as words, float32 (K, d), most of them far from each other.

    This is the greedy k-means++ (Arthur and Vassilvitskii, 2007): descriptors are drawn with odds that grow with the
    squared distance to the nearest word, and of several that are drawn the one becomes a word that lowers the inertia
    most. It goes in rounds, as k-means|| does (Bahmani et al., 2012): the first K / 16 words are random descriptors,
    and each round adds a quarter more, drawn without replacement (Efraimidis and Spirakis, 2006).

    Compared with random words, the inertia after the same iterations is a little lower for few words, and much lower
    for thousands.

    Parameters
    ----------
    descriptors : whole numbers of shape (n, d)
        In a random order; the first 64 for each word are searched.
    k
        Number of words.
    threads
        Threads that blocks of descriptors are worked on by.
    seed
        Seed of the draws.

    Raises
    ------
    ValueError
        There are fewer than K distinct descriptors.

    """
    some = descriptors[: _PER_WORD * k].astype(np.float32)
    lengths = squared_lengths(descriptors[: len(some)]).astype(np.float32)
    # The draws once depended on K alone. With the default seed they still do, so that vocabularies stay the same.
    random = np.random.default_rng(k if seed == DEFAULT_SEED else [k, seed])
    distances = np.full(len(some), np.inf, np.float32)
    words = new = random_words(descriptors, -(-k // 16))
    while len(words) < k:
        _come_nearer(distances, some, lengths, new, threads)
        far = np.flatnonzero(distances > _APART)
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
    """Brings the squared distances (n,) to the nearest word up to date for more words.

    Distances of SURF's descriptors are rounded: twice a product exceeds the 24 bits of float32 there. They do not
    depend on blocks or threads, since products are exact and a row's distance is computed from that row alone.
    """
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
    """How much each of the drawn descriptors would lower the sum of squared distances as a word: float64 (m,).

    The terms for SURF's descriptors are rounded: twice a product exceeds the 24 bits of float32 there. They are whole
    numbers all the same, so that their float64 sum is exact and does not depend on blocks or threads.
    """
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
