"""A draw of descriptors that is the same whatever the partitions: by a hash of picture name and descriptor number."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PER_WORD = 1000
_LEAST = 50_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def name_key(name: str, seed: int) -> int:
    """64-bit key of a picture's name (BLAKE2b keyed with the seed)."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


def descriptor_keys(names: Sequence[str], pictures: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Keys of the descriptors of some pictures: uint64 of shape (n,), uniform. `pictures` of shape (n,), ascending, has
    the place in `names` of each descriptor's picture.

    SplitMix64 (Steele, Lea and Flood, 2014) started at the key of the picture's name; a picture's first descriptor has
    the first value.
    """
    first = np.searchsorted(pictures, np.arange(len(names)))
    number = np.arange(1, len(pictures) + 1) - first[pictures]
    starts = np.array([name_key(name, seed) for name in names], np.uint64)
    z = starts[pictures] + number.astype(np.uint64) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    keys: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return keys


def default_size(words: int) -> int:
    """Descriptors that a vocabulary of so many words is trained on by default: 1000 a word, but at least 50,000."""
    return max(_LEAST, _PER_WORD * words)


def threshold(wanted: int, total: int) -> np.uint64:
    """Key below which about `wanted` of `total` descriptors lie: never fewer, but for odds of 1 in 10^9 (6 sigma)."""
    if wanted >= total:
        return np.uint64(0xFFFFFFFFFFFFFFFF)
    share = min(1.0, (wanted + 6.0 * wanted**0.5 + 36.0) / total)
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))
