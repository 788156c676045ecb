"""k-means by Lloyd's algorithm (1957), with exact sums, in one place or in parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import assign, squared_lengths
from job.learn.encodings.base import Codebook
from job.learn.nearest import Nearest
from job.learn.start import DEFAULT_SEED, far_words, random_words
from job.threads import Threads


@dataclass(frozen=True)
class Vocabulary:
    """Visual words, and how they were learned.

    Attributes
    ----------
    words
        float32 (K, d).
    inertia
        Sum of the squared distances of the descriptors that they were learned from to their nearest words.
    iterations
        Number of Lloyd's iterations.
    descriptors
        Number of descriptors that they were learned from.

    """

    words: NDArray[np.float32]
    inertia: float
    iterations: int
    descriptors: int

    def codebook(self) -> Codebook:
        """The words as the codebook of the encoding "counts"."""
        facts = {"inertia": self.inertia, "iterations": self.iterations, "descriptors": self.descriptors}
        return Codebook({"words": self.words}, facts)


@dataclass(frozen=True)
class ClusterSums:
    """What one part of the descriptors contributes to an iteration. Parts add up exactly, in any order.

    Attributes
    ----------
    counts
        int64 (K,): number of descriptors of each word.
    sums
        int64 (K, d): their sum.
    squares
        Sum of the squared lengths of all descriptors.

    """

    counts: NDArray[np.int64]
    sums: NDArray[np.int64]
    squares: int

    def __add__(self, other: "ClusterSums") -> "ClusterSums":
        """The sums of both parts."""
        return ClusterSums(self.counts + other.counts, self.sums + other.sums, self.squares + other.squares)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays by name, for `of`; those of parts may be added up."""
        return {"counts": self.counts, "sums": self.sums, "squares": np.array(self.squares, np.int64)}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "ClusterSums":
        """What `arrays` gave."""
        return cls(arrays["counts"], arrays["sums"], int(arrays["squares"]))


@dataclass(frozen=True)
class Farthest:
    """The different descriptors of a part that lie farthest from their words. Parts add up to the same in any order.

    Attributes
    ----------
    most
        Number of descriptors that are kept at most.
    distances
        float64 (m,): their squared distances, falling. Of equal distances the larger bytes come first.
    rows
        (m, d): the descriptors.

    """

    most: int
    distances: NDArray[np.float64]
    rows: NDArray[np.generic]

    def __add__(self, other: "Farthest") -> "Farthest":
        """The farthest of both parts."""
        distances = np.concatenate([self.distances, other.distances])
        return _farthest(np.concatenate([self.rows, other.rows]), distances, self.most)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays by name, for `of`."""
        return {"most": np.array(self.most, np.int64), "distances": self.distances, "rows": self.rows}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Farthest":
        """What `arrays` gave."""
        return cls(int(arrays["most"]), arrays["distances"], arrays["rows"])


def farthest(
    descriptors: NDArray[np.generic],
    words: NDArray[np.float32],
    most: int,
    moved: NDArray[np.float32] | None = None,
) -> Farthest:
    """The `most` different descriptors of a part that lie farthest from their words.

    Parameters
    ----------
    descriptors : whole numbers of shape (n, d)
    words : float32 of shape (K, d)
        A descriptor's word is the nearest of these.
    most
        Number of descriptors that are wanted, such as the number of words that have none.
    moved : float32 of shape (K, d)
        Where the words are now: distances are taken to these, as `lloyd` does. None: they have not moved.

    """
    nearest = assign(descriptors, words)
    return _farthest(descriptors, _squared_distances(descriptors, words if moved is None else moved, nearest), most)


def _farthest(rows: NDArray[np.generic], distances: NDArray[np.float64], most: int) -> Farthest:
    """Orders descriptors by distance, then by their bytes, and keeps the first of equal ones."""
    # What is left out here is nearer than `most` different descriptors, since equal ones have equal distances.
    least = np.unique(distances)[-most:][:1]
    places = np.flatnonzero(distances >= least) if len(least) else np.empty(0, np.intp)
    order = sorted(places.tolist(), key=lambda row: (distances[row], rows[row].tobytes()), reverse=True)
    first: dict[bytes, int] = {}
    for row in order:
        first.setdefault(rows[row].tobytes(), row)
    kept = list(first.values())[:most]
    return Farthest(most, distances[kept], rows[kept])


def grid_mean(
    counts: NDArray[np.int64], sums: NDArray[np.int64], old: NDArray[np.float32], quantum: float
) -> NDArray[np.float32]:
    """Means rounded to the grid, float32 (K, d); a word without descriptors stays where it is.

    With a quantum of 1 and descriptors of bits this is their majority: k-majority (Grana et al., 2013).
    """
    means = sums / np.maximum(counts, 1)[:, None]
    rounded = (np.rint(means / quantum) * quantum).astype(np.float32)
    return np.where(counts[:, None] > 0, rounded, old)


def grouped_sums(
    descriptors: NDArray[np.generic], groups: NDArray[np.int32], k: int, signs: Sequence[int] = (1,)
) -> NDArray[np.int64]:
    """Sums int64 (K, d) of the descriptors in each group, exact: 2^15 values of 16 bits add up to less than 2^31.

    `groups` is of shape (n,), or (n, m) for descriptors that count in m groups, with a sign for each. The sums are a
    product with a sparse K x n matrix, which is faster than sorting by group and `add.reduceat`.
    """
    from scipy.sparse import csc_array

    of_each = groups.reshape(len(descriptors), len(signs))
    sums = np.zeros((k, descriptors.shape[1]), np.int64)
    for start in range(0, len(descriptors), 1 << 15):
        rows = slice(start, start + (1 << 15))
        count, width = of_each[rows].shape
        places = np.arange(0, count * width + 1, width, dtype=np.int32)
        members = csc_array((np.tile(np.array(signs, np.int32), count), of_each[rows].ravel(), places), (k, count))
        sums += members @ descriptors[rows].astype(np.int32)
    return sums


def cluster_sums(descriptors: NDArray[np.generic], words: NDArray[np.float32]) -> ClusterSums:
    """One part's contribution to an iteration: assign, count, add up."""
    nearest, k = assign(descriptors, words), len(words)
    return ClusterSums(
        np.bincount(nearest, minlength=k),
        grouped_sums(descriptors, nearest, k),
        int(squared_lengths(descriptors).sum()),
    )


def inertia_of(part: ClusterSums, words: NDArray[np.float32]) -> float:
    """Sum of squared distances to the assigned words, from the sums: sum x.x - 2 sum w.S + sum n w.w, in float64."""
    wide = words.astype(np.float64)
    cross = float(np.einsum("kd,kd->", wide, part.sums.astype(np.float64)))
    own = float(part.counts.astype(np.float64) @ np.einsum("kd,kd->k", wide, wide))
    return float(part.squares) - 2.0 * cross + own


def train(
    descriptors: NDArray[np.generic],
    k: int,
    *,
    quantum: float,
    seed: int = DEFAULT_SEED,
    start: str = "k-means||",
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    threads: int = 1,
) -> Vocabulary:
    """Learn K words from descriptors that come in a random order.

    With a tolerance, small samples (the first 1/16, then 1/4 of the descriptors) bring the words near their place
    before all descriptors are used. Without one, every iteration uses all descriptors, until no word moves.

    Parameters
    ----------
    descriptors : whole numbers of shape (n, d)
        In a random order (see `job.learn.sampling`).
    k
        Number of words.
    quantum
        Words are rounded to multiples of it, so that products with them are exact in float32.
    seed
        Seed of the draws of `far_words`.
    start
        "k-means||" for `far_words`, "random" for `random_words`.
    tolerance
        Stop when an iteration lowers the inertia by less than this fraction of it; 0: when no word moves.
    max_iterations
        Stop after this many iterations, on the samples and on all descriptors each.
    threads
        Number of blocks of descriptors that are worked on at a time.

    Raises
    ------
    ValueError
        There are fewer than K distinct descriptors, the start is neither of the two, or the descriptors are no whole
        numbers: sums of floats would not be exact, so that words would depend on blocks and threads.
    """
    if not np.issubdtype(descriptors.dtype, np.integer):
        raise ValueError(f"words are learned from whole numbers, not from {descriptors.dtype}: scale and round them")
    if start not in ("k-means||", "random"):
        raise ValueError(f"a vocabulary starts from 'k-means||' or 'random' words, not '{start}'")
    iterations, sizes = 0, [len(descriptors) // 16, len(descriptors) // 4] if tolerance else []
    with Threads(threads) as pool:
        words = random_words(descriptors, k) if start == "random" else far_words(descriptors, k, pool, seed)
        for size in sizes:
            if size >= 32 * k:
                part = lloyd(
                    descriptors[:size],
                    words,
                    quantum=quantum,
                    tolerance=10 * tolerance,
                    max_iterations=max_iterations,
                    threads=pool,
                )
                words, iterations = part.words, iterations + part.iterations
        whole = lloyd(
            descriptors, words, quantum=quantum, tolerance=tolerance, max_iterations=max_iterations, threads=pool
        )
    return Vocabulary(whole.words, whole.inertia, iterations + whole.iterations, len(descriptors))


def lloyd(
    descriptors: NDArray[np.generic],
    words: NDArray[np.float32],
    *,
    quantum: float,
    tolerance: float,
    max_iterations: int,
    threads: Threads | None = None,
) -> Vocabulary:
    """Lloyd's iterations from given words; see `train` for the parameters.

    Sums are brought up to date from the descriptors that changed their word. A word that loses all its descriptors
    goes to the descriptor that lies farthest from its own word (tests/benchmarks/engine.py measures the vocabulary).
    """
    k, lengths = len(words), squared_lengths(descriptors)
    squares = int(lengths.sum())
    nearest = Nearest(descriptors, words, lengths, threads or Threads())
    now = nearest.words_of
    counts, sums = np.bincount(now, minlength=k), grouped_sums(descriptors, now, k)
    inertia = inertia_of(ClusterSums(counts, sums, squares), words)
    iterations = 0
    while iterations < max_iterations:
        iterations += 1
        moved = grid_mean(counts, sums, words, quantum)
        _fill_empty(moved, counts, descriptors, nearest.words_of)
        if np.array_equal(moved, words):
            break
        words, before = moved, nearest.words_of
        changed = nearest.move(words)
        if len(changed):
            moves = np.stack([before[changed], nearest.words_of[changed]], axis=1)
            counts += np.bincount(moves[:, 1], minlength=k) - np.bincount(moves[:, 0], minlength=k)
            sums += grouped_sums(descriptors[changed], moves, k, signs=(-1, 1))
        last, inertia = inertia, inertia_of(ClusterSums(counts, sums, squares), words)
        if last - inertia < tolerance * last and tolerance:
            break
    return Vocabulary(words, inertia, iterations, len(descriptors))


def _fill_empty(
    words: NDArray[np.float32], counts: NDArray[np.int64], descriptors: NDArray[np.generic], nearest: NDArray[np.int32]
) -> None:
    """Puts words that have no descriptors, in place, where descriptors lie farthest from their own words."""
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return
    distances = _squared_distances(descriptors, words, nearest)
    far = np.argsort(-distances, kind="stable")[: len(empty)]
    words[empty[: len(far)]] = descriptors[far].astype(np.float32)


def _squared_distances(
    descriptors: NDArray[np.generic], words: NDArray[np.float32], nearest: NDArray[np.int32]
) -> NDArray[np.float64]:
    """The squared distance of each descriptor to its word, float64 (n,)."""
    distances = np.empty(len(descriptors), np.float64)
    for start in range(0, len(descriptors), 1 << 14):
        rows = slice(start, start + (1 << 14))
        difference = descriptors[rows].astype(np.float64) - words[nearest[rows]]
        distances[rows] = np.einsum("nd,nd->n", difference, difference)
    return distances
