"""Words over small patches of colour, on or off, for the descriptor `patches`.

The words are random whitened patches of training pictures (Coates and Ng, 2011; Thiry et al., 2021). A word is on in a
patch where its similarity exceeds the mean over all words by a quarter of their deviation, which about two fifths do.
A picture's vector has, for each ring from the fruit's outline inwards, the share of its patches in which each word is
on.

Whitening, words and the mean over words are linear, so that they are folded into one matrix. Its values are rounded to
whole numbers so small that every similarity is exact in float32: no vector depends on other pictures, on blocks or on
the library that multiplies.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding

# A row: planes of blue, green and red, then the ring of each pixel, each of SIDE x SIDE.
SIDE = 32
RINGS = 3
# Side of a patch, and the distance from one to the next, in pixels.
SIZE, STEP = 6, 2
WIDTH = 3 * SIZE * SIZE
# What the whitening adds to each variance, as a share of their mean: directions of nothing but noise stay small.
SMOOTH = 0.01
# How many deviations above the mean over words a similarity must be for its word to be on.
ABOVE = 0.25

# Rows of a picture that words are learned from for each word, and at least.
_PICTURES_A_WORD, _LEAST_PICTURES = 4, 1000
_MOST_PATCHES = 200_000
_GREY = 128
_FLOAT32_WHOLE = 1 << 24

_CORNERS = np.arange(0, SIDE - SIZE + 1, STEP)
# Places in a row of the values of each patch, (patches, WIDTH), and of the ring at its middle, (patches,).
_VALUES = (_CORNERS[:, None, None] * SIDE + _CORNERS[None, :, None]).reshape(-1, 1) + (
    np.arange(3)[:, None, None] * SIDE * SIDE + np.arange(SIZE)[:, None] * SIDE + np.arange(SIZE)
).reshape(1, -1)
_RING = 3 * SIDE * SIDE + _VALUES[:, 0] + SIZE // 2 * (SIDE + 1)
_NUMBERS = np.arange(1, RINGS + 1, dtype=np.uint8)[:, None]


def patches(row: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Patches whose middle lies on the fruit, and the ring of each: float32 (p, WIDTH), less 128, and uint8 (p,)."""
    rings = row[_RING]
    places = np.flatnonzero(rings)
    values = row[_VALUES[places]].astype(np.float32)
    values -= np.float32(_GREY)
    return values, rings[places]


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
    del quantum, start, tolerance, max_iterations, threads
    _check(sample)
    if not len(sample):
        raise ValueError("There are no pictures to learn words from")
    random = np.random.default_rng(seed)
    found = _drawn(sample, random)
    mean = found.mean(axis=0) if len(found) else np.zeros(WIDTH)
    centred = found - mean
    # A patch of one colour close to the mean has no direction to speak of.
    candidates = np.flatnonzero(np.abs(centred, out=centred).max(axis=1) > 1)
    if len(candidates) < k:
        raise ValueError(f"There are {len(candidates)} patches of the fruit to choose {k} words from")
    # Whole numbers add up exactly in float64, whatever the order, so that the covariance is the same everywhere.
    covariance = (found.T @ found) / len(found) - np.outer(mean, mean)
    variances, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(np.maximum(variances, 0) + SMOOTH * max(variances.mean(), 1e-9)) @ axes.T
    chosen = found[candidates[random.permutation(len(candidates))[:k]]] - mean
    words = chosen @ whiten
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    projection = whiten @ words.T
    projection -= projection.mean(axis=1, keepdims=True)
    offset = -mean @ projection
    largest = (_GREY * np.abs(projection).sum(axis=0) + np.abs(offset)).max()
    # Rounding moves each value by up to a half, which may add so much to the largest similarity.
    factor = (_FLOAT32_WHOLE - _GREY * WIDTH) / max(largest, 1e-12)
    arrays = {
        "projection": np.rint(projection * factor).astype(np.float32),
        "offset": np.rint(offset * factor).astype(np.float32),
        # What each word looks like, for a report: blue, green and red planes of a patch, 0 to 255.
        "words": np.rint(chosen + mean + _GREY).astype(np.float32),
    }
    return Codebook(arrays, {"pictures": len(sample), "patches": len(found)})


def _drawn(sample: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.float64]:
    """At most `_MOST_PATCHES` of all patches of a sample, in random order: float64 (p, WIDTH). Others are not kept."""
    ends = np.cumsum([np.count_nonzero(row[_RING]) for row in sample])
    drawn = random.permutation(ends[-1])[:_MOST_PATCHES]
    order = np.argsort(drawn)
    found = np.empty((len(drawn), WIDTH))
    for row, begin, places in zip(
        sample, [0, *ends[:-1]], np.split(order, np.searchsorted(drawn[order], ends[:-1])), strict=True
    ):
        if len(places):
            found[places] = patches(row)[0][drawn[places] - begin]
    return found


def _check(rows: NDArray[Any]) -> None:
    if rows.shape[1] != 4 * SIDE * SIDE:
        raise ValueError(
            f"The encoding 'patches' is for the descriptor 'patches', whose rows have {4 * SIDE * SIDE} values, "
            f"not {rows.shape[1]}."
        )


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    _check(rows)
    # The offset is one more row, which a value of 1 behind each patch is multiplied by.
    linear = np.vstack([codebook.arrays["projection"], codebook.arrays["offset"]])
    found = np.zeros((count, RINGS, linear.shape[1]), np.float32)
    for row, picture in zip(rows, pictures.tolist(), strict=True):
        values, rings = patches(row)
        if len(values):
            found[picture] = _shares(values, rings, linear)
    return found.reshape(count, -1)


def _shares(values: NDArray[np.float32], rings: NDArray[np.uint8], linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of the patches of each ring in which each word is on: float32 of shape (RINGS, K)."""
    extended = np.ones((len(values), WIDTH + 1), np.float32)
    extended[:, :WIDTH] = values
    similar = extended @ linear
    # Whole numbers: their squares and the sums of these are exact in float64, in any order. The words were centred,
    # so that the mean over them is zero but for rounding.
    wide = similar.astype(np.float64)
    least = ABOVE * np.sqrt(np.vecdot(wide, wide) / similar.shape[1])
    # Truth values are read as whole numbers, which become floats faster.
    on = (similar > np.floor(least).astype(np.float32)[:, None]).view(np.int8).astype(np.float32)
    within = (rings == _NUMBERS).astype(np.float32)
    shares: NDArray[np.float32] = (within @ on) / np.maximum(within.sum(axis=1, keepdims=True), np.float32(1))
    return shares


def _looks(codebook: Codebook) -> NDArray[np.uint8]:
    planes = np.clip(codebook.arrays["words"], 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(planes.reshape(-1, 3, SIZE, SIZE), 1, 3))


PATCHES = Encoding(
    name="patches",
    dtype=np.dtype(np.float32),
    learn=_learn,
    apply=_apply,
    size=lambda k, _: RINGS * k,
    wanted=lambda k, _: max(_LEAST_PICTURES, _PICTURES_A_WORD * k),
    looks=_looks,
)
