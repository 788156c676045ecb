"""The bag of visual words (Csurka et al., 2004): how often each word of a vocabulary occurs in a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn import kmeans, sampling
from job.learn.assign import assign, histograms
from job.learn.encodings.base import Codebook, Encoding


def _learn(
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
    if quantum is None:
        raise ValueError("Visual words are learned from descriptors of whole numbers, and these have none")
    found = kmeans.train(
        sample,
        k,
        quantum=quantum,
        seed=seed,
        start=start,
        tolerance=tolerance,
        max_iterations=max_iterations,
        threads=threads,
    )
    return found.codebook()


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.int32]:
    words = codebook.arrays["words"]
    return histograms(assign(rows, words), pictures, count, len(words))


def only_words(found: Codebook, frequencies: NDArray[np.int64]) -> Codebook:
    """The codebook of encodings that want words alone."""
    del frequencies
    return found


COUNTS = Encoding(
    name="counts",
    dtype=np.dtype(np.int32),
    learn=_learn,
    apply=_apply,
    size=lambda k, _: k,
    wanted=sampling.default_size,
    of_words=only_words,
)
