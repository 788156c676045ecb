"""Functions that encodings with visual words share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn import scaling
from job.learn.assign import assign
from job.learn.encodings.base import Codebook
from job.learn.encodings.counts import COUNTS


def learned(sample: NDArray[Any], k: int, **options: Any) -> Codebook:
    """Words of k-means, as the encoding `counts` learns them, and `frequencies` int64 (K,): how often each is the
    nearest in the sample."""
    found = COUNTS.fit(sample, k, **options)
    words = found.arrays["words"]
    return with_frequencies(found, np.bincount(assign(sample, words), minlength=len(words)))


def with_frequencies(found: Codebook, frequencies: NDArray[np.int64]) -> Codebook:
    """Words and how often each is the nearest, (K,)."""
    return Codebook({**found.arrays, "frequencies": frequencies.astype(np.int64)}, found.facts)


def at_length_1(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Rows divided by their Euclidean norm; rows of zeros stay zeros."""
    return scaling.at_length_1(values).astype(np.float32)


def signed_roots(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Square roots of magnitudes with their signs, which tame words that come in bursts (Perronnin et al., 2010)."""
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)), np.float64)


def grouped_sums(values: NDArray[np.floating[Any]], groups: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Sum of the rows of each group, float64 (count, d): `groups` (n,) in any order; each sum in the order of rows."""
    found = np.zeros((count, values.shape[1]))
    if len(groups):
        order = np.argsort(groups, kind="stable")
        first = np.flatnonzero(np.diff(groups[order], prepend=-1))
        found[groups[order][first]] = np.add.reduceat(values[order].astype(np.float64), first, axis=0)
    return found
