"""Whatever an encoding or a classifier learns can be stored, read back, checked, and computes the same."""

from functools import cache

import numpy as np
import pytest
import stored as kept

from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Trained
from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Codebook
from job.learn.scaling import Scaling
from job.model import arrays as npz
from job.model.chain import Chain, Part
from job.vision.descriptors import DESCRIPTORS
from job.vision.picture import Picture
from job.vision.sample import sample_picture

# Of these an encoding is for one at least: many rows a picture, a histogram, a small picture.
KINDS = ("orb", "lbp", "patches", "placed-orb")


@cache
def described(name: str) -> list[dict[str, np.ndarray]]:
    spec = DESCRIPTORS.get(name)
    pictures = (Picture.decode(sample_picture(category, number)) for category in range(3) for number in range(4))
    return [{name: spec.describe(picture)} for picture in pictures]


def stored(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return npz.read(kept.npz(**arrays)) if arrays else {}


def part(encoding: str) -> tuple[Part, Part]:
    """A block that has learned from a few pictures, and the same once it was stored and read."""
    found = ENCODINGS.get(encoding)
    for kind in KINDS:
        spec, pictures = DESCRIPTORS.get(kind), described(kind)
        if found.placed != bool(spec.places):
            continue
        rows = spec.unpack(np.concatenate([picture[kind] for picture in pictures]))
        try:
            codebook = found.fit(rows, 4, quantum=spec.quantum, seed=1)
            learned = Part(spec, found, codebook)
            learned.encode(pictures)
        except ValueError:  # it is not for this kind
            continue
        return learned, Part(spec, found, Codebook(stored(dict(codebook.arrays)), codebook.facts))
    raise AssertionError(f"{encoding} is for none of {KINDS}")


@pytest.mark.parametrize("name", ENCODINGS.names)
def test_each_encoding_is_the_same_once_stored_and_passes_the_check(name: str):
    learned, read = part(name)
    chain = Chain((read,), None, None, None, None)
    chain.check(3)
    pictures = described(read.descriptor.name)
    vectors = learned.encode(pictures)
    assert chain.width == vectors.shape[1]
    np.testing.assert_array_equal(chain.features(pictures), vectors)


@pytest.mark.parametrize("name", CLASSIFIERS.names)
def test_each_classifier_is_the_same_once_stored_and_passes_the_check(name: str):
    block = part("none")[1]
    classifier, pictures = CLASSIFIERS.get(name), described("lbp")
    features = block.encode(pictures).astype(np.float64)
    trained = classifier.fit(features, np.repeat(np.arange(3), 4), 3, seed=1)
    chain = Chain((block,), None, None, classifier, Trained(stored(dict(trained.arrays))))
    chain.check(3)
    np.testing.assert_array_equal(
        chain.probabilities(chain.features(pictures)), classifier.probabilities(features, trained)
    )
    with pytest.raises(ValueError, match="do not fit 4 categories"):
        chain.check(4)


def test_a_descriptor_of_two_blocks_is_computed_once():
    one, two = part("none")[1], part("root")[1]
    widths = np.array([40, 40])
    chain = Chain((one, two), Scaling(widths, np.zeros(80), np.zeros(2)), None, None, None)
    chain.check(1)
    assert [spec.name for spec in chain.descriptors] == ["lbp"]
    found = chain.features(described("lbp"))
    np.testing.assert_array_equal(found, np.hstack([block.encode(described("lbp")) for block in (one, two)]))


def test_a_chain_without_a_classifier_gives_no_probabilities():
    with pytest.raises(ValueError, match="has no classifier"):
        Chain((part("none")[1],), None, None, None, None).probabilities(np.zeros((1, 40)))
