"""The interface of an encoding, and what it has learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Codebook:
    """What an encoding has learned.

    Attributes
    ----------
    arrays
        Arrays by name, as they are stored with a model.
    facts
        Numbers about the learning, such as `inertia`.

    """

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, int | float] = field(default_factory=dict)


class Learn(Protocol):
    """Learns from rows of descriptors in the order of their random keys, (n, d): see `Encoding.fit`."""

    def __call__(
        self,
        sample: NDArray[Any],
        k: int,
        *,
        quantum: float | None,
        seed: int,
        start: str,
        tolerance: float,
        max_iterations: int,
        threads: int,
    ) -> Codebook:
        """Learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the rows of a picture's descriptors become one vector.

    Attributes
    ----------
    name
        What the settings call it.
    dtype
        Type of the vectors: int32 or float32.
    apply
        Computes vectors; called by `encode`.
    size
        Length of a vector by (k, d); called by `width`.
    learn
        Learns a codebook, or None where there is nothing to learn; called by `fit`.
    wanted
        Number of rows to learn from by (k, bytes of a row); called by `sample_size`.
    placed
        Whether it wants to know where each row is, which the row's last values say (`job.learn.encodings.places`).
    of_words
        The codebook for words that k-means has learned of all descriptors on the executors, from the codebook of
        "counts" and how often each word is the nearest, int64 (K,); None where such words are not what it learns.
    looks
        What each of the codebook's words looks like, as small pictures uint8 (words, height, width, 3), blue first, for
        the report; None where words can't be seen by themselves.

    """

    name: str
    dtype: np.dtype[Any]
    apply: Callable[[NDArray[Any], NDArray[np.int64], int, Codebook], NDArray[Any]]
    size: Callable[[int, int], int]
    learn: Learn | None = None
    wanted: Callable[[int, int], int] | None = None
    placed: bool = False
    of_words: Callable[[Codebook, NDArray[np.int64]], Codebook] | None = None
    looks: Callable[[Codebook], NDArray[np.uint8]] | None = None

    @property
    def learns(self) -> bool:
        """Whether there is something to learn."""
        return self.learn is not None

    def sample_size(self, k: int, bytes_each: int) -> int:
        """Number of rows of `bytes_each` bytes that are drawn to learn `k` words from; 0 where nothing is learned."""
        return 0 if self.wanted is None else self.wanted(k, bytes_each)

    def fit(
        self,
        sample: NDArray[Any],
        k: int,
        *,
        quantum: float | None,
        seed: int,
        start: str = "k-means||",
        tolerance: float = 1e-4,
        max_iterations: int = 2000,
        threads: int = 1,
    ) -> Codebook:
        """Learn from rows of descriptors.

        Parameters
        ----------
        sample
            Unpacked rows of shape (n, d), in a random order that depends on pictures and seed alone.
        k
            Number of words.
        quantum
            Grid of the words, for descriptors of whole numbers; None for others.
        seed
            Seed of every draw.
        start, tolerance, max_iterations
            As for `job.learn.kmeans.train`; an encoding without k-means does not look at them.
        threads
            Threads that may be used.

        Raises
        ------
        ValueError
            There are too few rows.

        """
        if self.learn is None:
            return Codebook()
        return self.learn(
            sample,
            k,
            quantum=quantum,
            seed=seed,
            start=start,
            tolerance=tolerance,
            max_iterations=max_iterations,
            threads=threads,
        )

    def encode(self, rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[Any]:
        """The vectors of pictures. The vector of one picture does not depend on the others.

        Parameters
        ----------
        rows : of shape (n, d)
            Unpacked descriptors.
        pictures : int64 of shape (n,), ascending
            The picture that each descriptor is from, in 0..count-1.
        count
            Number of pictures.
        codebook
            What `fit` has learned.

        Returns
        -------
        An array of `dtype`, of shape (count, width). A picture without descriptors has zeros.

        Raises
        ------
        ValueError
            The encoding is not made for such rows.

        """
        return self.apply(rows, pictures, count, codebook)

    def width(self, k: int, d: int) -> int:
        """Length of a vector for `k` words and rows of `d` values."""
        return self.size(k, d)
