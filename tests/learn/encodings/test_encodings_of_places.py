"""Encodings that look at where in the picture a descriptor is."""

import numpy as np
import pytest

from job.learn.encodings import ENCODINGS
from job.learn.encodings.places import PLACES
from job.vision.descriptors import patches, placed

K = 6
PARTS = {"pyramid": 5, "rings": 3}


@pytest.fixture(scope="module")
def rows(local_rows):
    random = np.random.default_rng(1)
    places = np.stack([*random.integers(0, 256, (2, 2000)), random.integers(1, 4, 2000)], axis=1)
    return np.hstack([local_rows, places]).astype(np.uint8)


@pytest.fixture(scope="module")
def codebooks(rows):
    return {name: ENCODINGS.get(name).fit(rows, K, quantum=1 / 32, seed=3) for name in PARTS}


def test_rows_say_their_places_as_descriptors_write_them():
    assert (PLACES, PARTS["rings"]) == (placed.PLACES, patches.RINGS)


@pytest.mark.parametrize("name", PARTS)
def test_words_are_learned_from_what_is_described_and_not_from_places(name, rows, codebooks):
    counts = ENCODINGS.get("counts").fit(np.ascontiguousarray(rows[:, :-3]), K, quantum=1 / 32, seed=3)
    np.testing.assert_array_equal(codebooks[name].arrays["words"], counts.arrays["words"])
    assert codebooks[name].facts == counts.facts


@pytest.mark.parametrize("name", PARTS)
def test_a_vector_has_the_roots_of_the_counts_of_each_part_at_length_1(name, rows, pictures, codebooks):
    words = codebooks[name].arrays["words"].astype(float)
    expected = np.zeros((6, PARTS[name], K))
    for row, picture in zip(rows.astype(float), pictures, strict=True):
        word = np.argmin(((words - row[:-3]) ** 2).sum(axis=1))
        x, y, ring = row[-3:]
        if name == "rings":
            expected[picture, int(ring) - 1, word] += 1
        else:
            expected[picture, 0, word] += 1
            expected[picture, 1 + (x >= 128) + 2 * (y >= 128), word] += 1
    expected = np.sqrt(expected.reshape(6, -1))
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    found = ENCODINGS.get(name).encode(rows, pictures, 6, codebooks[name])
    assert (found.dtype, found.shape) == (np.float32, (6, ENCODINGS.get(name).width(K, 16)))
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("name", PARTS)
def test_a_vector_does_not_depend_on_the_other_pictures(name, rows, pictures, codebooks):
    encoding = ENCODINGS.get(name)
    together = encoding.encode(rows, pictures, 6, codebooks[name])
    for picture in range(6):
        own = rows[pictures == picture]
        alone = encoding.encode(own, np.zeros(len(own), np.int64), 1, codebooks[name])
        np.testing.assert_array_equal(alone[0], together[picture])


def test_rows_of_another_length_are_refused(rows, pictures, codebooks):
    said = "'pyramid' is for rows of 16 values and their place, not for 16 values"
    with pytest.raises(ValueError, match=said):
        ENCODINGS.get("pyramid").encode(rows[:, :16], pictures, 6, codebooks["pyramid"])
