"""The Fisher vector (Perronnin et al., 2010): how a mixture of Gaussians would have to change to fit the descriptors.

Descriptors are brought to `COMPONENTS` principal components first. For each Gaussian the vector has the mean normalised
difference to its mean, then to its variance; signed square roots, at length 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.words import at_length_1, signed_roots

# Principal components that are kept of a descriptor.
COMPONENTS = 64
# Descriptors for each Gaussian that the mixture is learned from, and at least.
_ROWS_A_GAUSSIAN, _LEAST_ROWS = 1000, 20_000
# No variance falls below this share of that of all descriptors.
_LEAST_VARIANCE = 1e-3
_BLOCK = 8192
_MOST_ITERATIONS = 100


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
    """Expectation and maximisation from random first means, until the likelihood gains less than `tolerance`."""
    del quantum, start, threads
    if len(sample) < k:
        raise ValueError(f"There are {len(sample)} descriptors to learn {k} Gaussians from")
    rows = sample.astype(np.float64)
    centre = rows.mean(axis=0)
    _, axes = np.linalg.eigh((rows - centre).T @ (rows - centre))
    # The sign of an axis is arbitrary: its largest value becomes positive.
    axes = axes[:, ::-1][:, :COMPONENTS]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    rows = (rows - centre) @ axes
    overall = rows.var(axis=0) + 1e-9
    means = rows[np.random.default_rng(seed).permutation(len(rows))[:k]]
    variances, weights = np.tile(overall, (k, 1)), np.full(k, 1 / k)
    before, iterations = -np.inf, 0
    while iterations < min(max_iterations, _MOST_ITERATIONS):
        iterations += 1
        counts, sums, squares, likelihood = np.zeros(k), np.zeros_like(means), np.zeros_like(means), 0.0
        for begin in range(0, len(rows), _BLOCK):
            part = rows[begin : begin + _BLOCK]
            shares, logs = posteriors(part, weights, means, variances)
            counts += shares.sum(axis=0)
            sums += shares.T @ part
            squares += shares.T @ np.square(part)
            likelihood += float(logs.sum())
        counts = np.maximum(counts, 1e-9)
        weights, means = counts / counts.sum(), sums / counts[:, None]
        variances = np.maximum(squares / counts[:, None] - np.square(means), _LEAST_VARIANCE * overall)
        if likelihood - before < tolerance * abs(likelihood):
            break
        before = likelihood
    arrays = {"centre": centre, "axes": axes, "weights": weights, "means": means, "variances": variances}
    return Codebook(arrays, {"iterations": iterations, "descriptors": len(rows)})


def posteriors(
    rows: NDArray[np.float64], weights: NDArray[np.float64], means: NDArray[np.float64], variances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of each Gaussian in each row, (n, K), and the logarithm of each row's density, (n,)."""
    inverse = 1 / variances
    constants = np.log(weights) - 0.5 * (np.log(2 * np.pi * variances) + np.square(means) * inverse).sum(axis=1)
    logs = constants + rows @ (means * inverse).T - 0.5 * np.square(rows) @ inverse.T
    highest = logs.max(axis=1, keepdims=True)
    shares = np.exp(logs - highest)
    totals = shares.sum(axis=1, keepdims=True)
    return shares / totals, (highest + np.log(totals))[:, 0]


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    own = codebook.arrays
    weights, means, variances = own["weights"], own["means"], own["variances"]
    k, width = means.shape
    found = np.zeros((count, 2, k, width))
    sizes = np.bincount(pictures, minlength=count)
    ends = np.cumsum(sizes)
    # A picture at a time, so that its vector does not depend on the others.
    for picture in np.flatnonzero(sizes):
        part = (rows[ends[picture] - sizes[picture] : ends[picture]].astype(np.float64) - own["centre"]) @ own["axes"]
        shares, _ = posteriors(part, weights, means, variances)
        totals, sums, squares = shares.sum(axis=0)[:, None], shares.T @ part, shares.T @ np.square(part)
        found[picture, 0] = (sums - totals * means) / np.sqrt(variances)
        found[picture, 1] = (squares - 2 * sums * means + totals * (np.square(means) - variances)) / variances
        found[picture] /= sizes[picture]
    found[:, 0] /= np.sqrt(weights)[:, None]
    found[:, 1] /= np.sqrt(2 * weights)[:, None]
    return at_length_1(signed_roots(found.reshape(count, -1)))


FISHER = Encoding(
    name="fisher",
    dtype=np.dtype(np.float32),
    learn=_learn,
    apply=_apply,
    size=lambda k, d: 2 * k * min(d, COMPONENTS),
    wanted=lambda k, _: max(_LEAST_ROWS, _ROWS_A_GAUSSIAN * k),
)
