"""Encodings for descriptors that give one row a picture."""

import tracemalloc

import numpy as np
import pytest

from job.learn.encodings import ENCODINGS
from job.learn.encodings import patches as module
from job.learn.encodings.base import Codebook


def pictures_of_patches(count, seed=1, background=True):
    """Rows of the descriptor `patches`: smooth colours with noise, rings of a disc."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] / 31
    rows = np.empty((count, 4, 32, 32), np.uint8)
    for row in rows:
        waves = random.uniform(1, 12, (3, 2))
        plane = [128 + 50 * np.sin(a * x + b * y) for a, b in waves]
        row[:3] = np.clip(np.array(plane) + random.normal(0, 8, (3, 32, 32)), 0, 255)
        distance = np.hypot(x - 0.5, y - 0.5)
        row[3] = np.where(distance > 0.45, 0, np.where(distance > 0.36, 1, np.where(distance > 0.26, 2, 3)))
        if not background:
            row[3] = np.maximum(row[3], 1)
    return rows.reshape(count, -1)


@pytest.fixture(scope="module")
def codebook():
    return ENCODINGS.get("patches").fit(pictures_of_patches(60), 64, quantum=None, seed=3)


def test_root_is_the_square_root_of_relative_frequencies():
    rows = np.random.default_rng(1).integers(0, 1000, (5, 40)).astype(np.uint16)
    found = ENCODINGS.get("root").encode(rows, np.array([0, 1, 3, 4, 6]), 8, Codebook())
    expected = np.sqrt(rows / rows.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found[[0, 1, 3, 4, 6]], expected, rtol=1e-6)
    np.testing.assert_array_equal(found[[2, 5, 7]], 0)
    assert found.dtype == np.float32


def test_root_of_an_empty_histogram_is_zero():
    found = ENCODINGS.get("root").encode(np.zeros((1, 4), np.uint16), np.array([0]), 1, Codebook())
    np.testing.assert_array_equal(found, np.zeros((1, 4)))


def test_root_refuses_descriptors_with_several_rows_a_picture():
    with pytest.raises(ValueError, match="several rows"):
        ENCODINGS.get("root").encode(np.zeros((2, 4), np.uint8), np.array([0, 0]), 1, Codebook())


def test_patches_are_cut_where_their_middle_lies_on_the_fruit():
    row = pictures_of_patches(1)[0]
    planes = row.reshape(4, 32, 32)
    expected, rings = [], []
    for top in range(0, 27, 2):
        for left in range(0, 27, 2):
            if planes[3, top + 3, left + 3]:
                expected.append(planes[:3, top : top + 6, left : left + 6].ravel().astype(float) - 128)
                rings.append(planes[3, top + 3, left + 3])
    found, of = module.patches(row)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(of, rings)


def test_words_of_patches_look_like_patches_of_the_pictures_they_were_learned_from():
    rows = pictures_of_patches(40)
    found = ENCODINGS.get("patches").looks(ENCODINGS.get("patches").fit(rows, 16, quantum=None, seed=5))
    assert (found.shape, found.dtype) == ((16, 6, 6, 3), np.uint8)
    known = {(values + 128).astype(np.uint8).tobytes() for row in rows for values in module.patches(row)[0]}
    assert {np.moveaxis(word, 2, 0).tobytes() for word in found} <= known


def test_shares_of_patches_follow_the_formula_written_out():
    """Whitening, unit words, a similarity's mean and deviation over words, in float64 and step by step."""
    rows, k = pictures_of_patches(40), 48
    codebook = ENCODINGS.get("patches").fit(rows, k, quantum=None, seed=5)
    found = np.concatenate([module.patches(row)[0] for row in rows]).astype(float)
    mean = found.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(found.T, bias=True))
    whiten = axes @ np.diag(1 / np.sqrt(variances + 0.01 * variances.mean())) @ axes.T
    words = (codebook.arrays["words"] - 128 - mean) @ whiten
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    row = pictures_of_patches(1, seed=9)[0]
    values, rings = module.patches(row)
    similar = (values - mean) @ whiten @ words.T
    least = similar.mean(axis=1, keepdims=True) + 0.25 * similar.std(axis=1, keepdims=True)
    shares = np.array([(similar > least)[rings == ring].mean(axis=0) for ring in (1, 2, 3)])
    encoded = ENCODINGS.get("patches").encode(row[None], np.array([0]), 1, codebook).reshape(3, k)
    # words and projection are rounded, which moves a few similarities across the threshold
    assert np.abs(encoded - shares).max() < 0.08
    assert np.abs(encoded - shares).mean() < 0.004
    assert 0.25 < encoded.mean() < 0.5


def test_similarities_are_exact_in_float32(codebook):
    values = module.patches(pictures_of_patches(1, seed=7)[0])[0]
    projection, offset = codebook.arrays["projection"], codebook.arrays["offset"]
    single = values @ projection + offset
    np.testing.assert_array_equal(single, values.astype(float) @ projection.astype(float) + offset)
    extreme = np.where(projection.T > 0, 127, -128).astype(np.float32)  # the largest similarity of each word
    largest = np.einsum("kd,dk->k", extreme.astype(float), projection.astype(float)) + offset
    assert np.abs(largest).max() <= 2**24


def test_a_vector_does_not_depend_on_the_other_pictures(codebook):
    rows, encoding = pictures_of_patches(12, seed=2), ENCODINGS.get("patches")
    together = encoding.encode(rows, np.arange(12), 12, codebook)
    alone = [encoding.encode(row[None], np.array([0]), 1, codebook)[0] for row in rows]
    np.testing.assert_array_equal(together, alone)
    assert together.shape == (12, encoding.width(64, rows.shape[1]))
    assert together.dtype == encoding.dtype


def test_pictures_without_a_row_or_without_fruit_are_zero(codebook):
    rows = pictures_of_patches(2)
    rows[1].reshape(4, 32, 32)[3] = 0
    found = ENCODINGS.get("patches").encode(rows, np.array([0, 2]), 4, codebook)
    assert found[0].any()
    np.testing.assert_array_equal(found[1:], 0)


def test_of_many_patches_only_those_that_are_drawn_are_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MOST_PATCHES", 5_000)
    sample = pictures_of_patches(2_000, background=False)
    tracemalloc.start()
    try:
        found = ENCODINGS.get("patches").fit(sample, 64, quantum=None, seed=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.facts == {"pictures": 2_000, "patches": 5_000}
    # all of them are 392,000, of 432 bytes each
    assert peak < 40_000_000


def test_the_same_sample_and_seed_give_the_same_words():
    encoding, rows = ENCODINGS.get("patches"), pictures_of_patches(20)
    one, same, other = (encoding.fit(rows, 16, quantum=None, seed=seed).arrays["projection"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_sample_of_flat_pictures_gets_a_sentence():
    rows = np.full((10, 4096), 3, np.uint8)
    with pytest.raises(ValueError, match="0 patches of the fruit to choose 8 words from"):
        ENCODINGS.get("patches").fit(rows, 8, quantum=None, seed=1)


def test_rows_of_another_descriptor_get_a_sentence(codebook):
    with pytest.raises(ValueError, match="whose rows have 4096 values, not 128"):
        ENCODINGS.get("patches").encode(np.zeros((1, 128), np.uint8), np.array([0]), 1, codebook)


def test_fourth_root_is_the_fourth_root_of_frequencies_at_length_1():
    rows = np.random.default_rng(1).integers(0, 1000, (3, 40)).astype(np.uint32)
    found = ENCODINGS.get("fourth-root").encode(rows, np.arange(3), 3, Codebook())
    expected = (rows / rows.sum(axis=1, keepdims=True)) ** 0.25
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)
