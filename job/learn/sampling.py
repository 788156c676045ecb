"""A draw of descriptors that is the same whatever the partitions: by a hash of picture name and descriptor number."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Number of descriptors for each word by default while they are at most a million in all, beyond that, and the least
# for which `far_words` has its choice. 256 is what faiss takes by default.
_PER_WORD, _PER_WORD_OF_MANY, _FEWEST_PER_WORD = 1000, 256, 64
_MANY = 1_000_000
# Descriptors that are drawn are gathered in the driver: bytes of them by default.
_MOST_BYTES = 512 << 20
# Least number of descriptors by default. Fewer would leave the inertia higher for few words as well.
_LEAST = 100_000
# SplitMix64 counts in steps of 2^64 divided by the golden ratio.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def name_key(name: str, seed: int) -> int:
    """64-bit key of a picture's name (BLAKE2b keyed with the seed)."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


def descriptor_keys(names: Sequence[str], pictures: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Uniform keys of the descriptors of some pictures.

    A picture's descriptors have the values of SplitMix64 (Steele, Lea and Flood, 2014), started at the key of the
    picture's name, in their order. So a key depends on the name, the descriptor's number and the seed alone.

    Parameters
    ----------
    names
        Names of the pictures.
    pictures : int64 of shape (n,), ascending
        The place in `names` of each descriptor's picture.
    seed
        Seed of the draw, 0 or more.

    Returns
    -------
    uint64 of shape (n,).

    """
    first = np.searchsorted(pictures, np.arange(len(names)))
    number = np.arange(1, len(pictures) + 1) - first[pictures]
    starts = np.array([name_key(name, seed) for name in names], np.uint64)
    z = starts[pictures] + number.astype(np.uint64) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    keys: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return keys


def default_size(words: int, bytes_each: int) -> int:
    """Number of descriptors that a vocabulary of `words` words is trained on by default.

    1,000 a word, but at least 100,000. Where that is more than a million, 256 a word, but at least a million: the time
    grows with their number times the number of words. And not more than 512 MB of them at `bytes_each` bytes, because
    they are gathered in one place, unless that were fewer than 64 a word.
    """
    wanted = max(_LEAST, min(_PER_WORD * words, max(_MANY, _PER_WORD_OF_MANY * words)))
    return min(wanted, max(_MOST_BYTES // bytes_each, _FEWEST_PER_WORD * words))


def threshold(wanted: int, total: int) -> np.uint64:
    """The key below which at least `wanted` of `total` descriptors lie, and few more.

    It lies six standard deviations above the expected key, so that fewer lie below it once in 10^9 draws.
    """
    if wanted >= total:
        return np.uint64(0xFFFFFFFFFFFFFFFF)
    share = min(1.0, (wanted + 6.0 * wanted**0.5 + 36.0) / total)
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))


@dataclass(frozen=True)
class Draw:
    """A draw of descriptors, to which each task contributes while it works on pictures.

    Attributes
    ----------
    wanted
        Number of descriptors that are drawn in all.
    most
        Number of descriptors that a task contributes at most.
    seed
        Seed of the draw.
    dtype, values
        A packed descriptor has `values` values of this type.

    """

    wanted: int
    most: int
    seed: int
    dtype: np.dtype[Any]
    values: int

    @classmethod
    def of(cls, wanted: int, tasks: int, seed: int, dtype: np.dtype[Any], values: int, largest: float = 2.0) -> "Draw":
        """A draw from `tasks` tasks, the largest of which works on `largest` times the mean number of descriptors.

        Each may contribute the number that is expected of the largest one, plus six standard deviations.
        """
        share = largest * wanted / tasks
        return cls(wanted, math.ceil(share + 6.0 * share**0.5 + 36.0), seed, dtype, values)

    def lowest(self, parts: "Sequence[Part]") -> NDArray[Any] | None:
        """The `wanted` descriptors with the lowest keys, or all if there are fewer, in the order of their keys: (n,
        values). None when there are none, or when a task has more of them than it was allowed to contribute."""
        wanted = min(self.wanted, sum(part.seen for part in parts))
        if not wanted:
            return None
        keys = np.concatenate([part.keys for part in parts])
        if len(keys) < wanted:
            return None
        order = np.argsort(keys, kind="stable")[:wanted]
        last = keys[order[-1]]
        if any(len(part.keys) < part.seen and part.keys.max() < last for part in parts):
            return None
        found: NDArray[Any] = np.concatenate([part.rows for part in parts])[order]
        return found


@dataclass(frozen=True)
class Part:
    """What a task contributes: the descriptors with the lowest keys, in any order.

    Attributes
    ----------
    keys
        uint64 (n,).
    rows
        (n, values): packed descriptors.
    seen
        Number of descriptors that the task has worked on.

    """

    keys: NDArray[np.uint64]
    rows: NDArray[Any]
    seen: int


class Lowest:
    """Gathers a task's part in a draw. It holds at most twice what the task may contribute, and one batch."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._part = Part(np.empty(0, np.uint64), np.empty((0, draw.values), draw.dtype), 0)
        self._waiting: list[Part] = []

    def add(self, names: Sequence[str], rows: NDArray[Any], pictures: NDArray[np.int64]) -> None:
        """Add packed descriptors of some pictures.

        Parameters
        ----------
        names
            Names of the pictures.
        rows : of shape (n, values)
            The descriptors.
        pictures : int64 of shape (n,), ascending
            The place in `names` of each descriptor's picture.

        """
        self._waiting.append(Part(descriptor_keys(names, pictures, self._draw.seed), rows, len(rows)))
        if sum(part.seen for part in self._waiting) > self._draw.most:
            self.part()

    def part(self) -> Part:
        """What the task contributes so far."""
        found, most = [self._part, *self._waiting], self._draw.most
        keys, rows = (
            np.concatenate(arrays) for arrays in ([part.keys for part in found], [part.rows for part in found])
        )
        if len(keys) > most:
            lowest = np.argpartition(keys, most - 1)[:most]
            keys, rows = keys[lowest], rows[lowest]
        self._part, self._waiting = Part(keys, rows, sum(part.seen for part in found)), []
        return self._part
