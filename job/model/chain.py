"""What a model computes: descriptors of pictures to features to probabilities, without Spark.

The computation is that of the stages in `job.stages`, by the same functions of `job.learn`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn import pca, unknown
from job.learn import scaling as scales
from job.learn.classifiers.base import Classifier, Trained
from job.learn.encodings.base import Codebook, Encoding
from job.learn.pca import Projection
from job.learn.scaling import Scaling
from job.vision.descriptors.base import Descriptor

Described = Mapping[str, NDArray[Any]]
"""The packed rows of one picture, (n, values), by the name of the descriptor."""


@dataclass(frozen=True)
class Part:
    """One block of the feature vector: a descriptor, the encoding of its rows, and what that has learned."""

    descriptor: Descriptor
    encoding: Encoding
    codebook: Codebook

    def encode(self, pictures: Sequence[Described]) -> NDArray[Any]:
        """The vectors of described pictures: int32 or float32 of shape (pictures, width)."""
        spec = self.descriptor
        rows = [picture[spec.name] for picture in pictures]
        stacked = np.concatenate([np.empty((0, spec.values), spec.dtype), *rows])
        sources = np.repeat(np.arange(len(rows), dtype=np.int64), [len(part) for part in rows])
        return self.encoding.encode(spec.unpack(stacked), sources, len(rows), self.codebook)


def vectors(
    blocks: Sequence[NDArray[Any]], scaling: Scaling | None, components: Projection | None
) -> NDArray[np.float64]:
    """Feature vectors of encoded blocks (n, width of each), scaled and projected where that was learned: (n, d)."""
    rows = blocks[0] if len(blocks) == 1 else np.hstack(blocks)
    if scaling is not None:
        rows = scales.scale(rows, scaling)
    if components is not None:
        rows = pca.project(rows, components)
    return np.asarray(rows, np.float64)


@dataclass(frozen=True)
class Chain:
    """All that follows one another between a described picture and its category.

    Attributes
    ----------
    parts
        The blocks of the feature vector, side by side in this order.
    scaling
        How they are scaled; None leaves them as they are.
    components
        The principal components of the vector; None leaves it as it is.
    classifier, trained
        What gives the probabilities, and what it has learned; None for a model without a classifier.

    """

    parts: tuple[Part, ...]
    scaling: Scaling | None
    components: Projection | None
    classifier: Classifier | None
    trained: Trained | None

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """The descriptors of all blocks, each once."""
        return tuple({part.descriptor.name: part.descriptor for part in self.parts}.values())

    @cached_property
    def width(self) -> int:
        """Length of the feature vector."""
        if self.components is not None:
            return int(self.components.axes.shape[1])
        return sum(part.encode([self._nothing]).shape[1] for part in self.parts)

    @property
    def _nothing(self) -> Described:
        """A picture without descriptors."""
        return {spec.name: np.empty((0, spec.values), spec.dtype) for spec in self.descriptors}

    def features(self, pictures: Sequence[Described]) -> NDArray[np.float64]:
        """The feature vectors of described pictures: float64 of shape (pictures, width)."""
        return vectors([part.encode(pictures) for part in self.parts], self.scaling, self.components)

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the categories: float64 of shape (n, C). ValueError for a model without a classifier."""
        if self.classifier is None or self.trained is None:
            raise ValueError("The model has no classifier: only features can be asked of it.")
        return self.classifier.probabilities(features, self.trained)

    @property
    def knows_unknown(self) -> bool:
        """Whether `unknown` can be asked: the classifier measures distances, and pictures were held out for it."""
        return self._held_distances is not None

    def unknown(self, features: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
        """Which features (n, width) are farther from all categories than all but `share` of the pictures held out."""
        kept = self._held_distances
        if kept is None:
            raise ValueError("The model does not know how far pictures are from its categories.")
        return self._distances(features) > unknown.farthest(kept, share)

    @property
    def _held_distances(self) -> NDArray[Any] | None:
        if self.classifier is None or self.classifier.distances is None or self.trained is None:
            return None
        return self.trained.arrays.get(unknown.HELD)

    def _distances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self.classifier is not None
        assert self.classifier.distances is not None
        assert self.trained is not None
        return self.classifier.distances(features, self.trained)

    def check(self, categories: int) -> None:
        """Compute features and probabilities of two made-up pictures, the second of which has no descriptors.

        Arrays that do not fit each other show here, and not at the first picture of a user. That is so for any
        encoding and classifier, also for those that others have added.

        Raises
        ------
        ValueError
            The arrays do not fit each other; the message is a phrase.

        """
        first = {spec.name: np.ones((1, spec.values), spec.dtype) for spec in self.descriptors}
        pictures = [first, self._nothing]
        with np.errstate(all="ignore"):
            widths = [self._check_part(part, pictures) for part in self.parts]
            width = sum(widths)
            if self.scaling is not None:
                _check_scaling(self.scaling, widths)
            if self.components is not None:
                width = _check_components(self.components, width)
            features = self.features(pictures)
            if features.shape != (2, width) or not np.isfinite(features).all():
                raise ValueError("the features of a picture can't be computed")
            if self.classifier is not None:
                self._check_classifier(features, categories)

    @staticmethod
    def _check_part(part: Part, pictures: Sequence[Described]) -> int:
        name = f"{part.descriptor.name}:{part.encoding.name}"
        try:
            found = part.encode(pictures)
        except MemoryError:
            raise
        except Exception as error:  # an encoding that meets arrays of other names or shapes may raise anything
            raise ValueError(f"the arrays of the block '{name}' do not fit its descriptor") from error
        if found.ndim != 2 or len(found) != len(pictures) or not found.shape[1]:
            raise ValueError(f"the block '{name}' gives no vector")
        return int(found.shape[1])

    def _check_classifier(self, features: NDArray[np.float64], categories: int) -> None:
        try:
            found = self.probabilities(features)
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise ValueError("the arrays of the classifier do not fit the features") from error
        if found.shape != (len(features), categories):
            raise ValueError(f"the arrays of the classifier do not fit {categories} categories")
        if not np.allclose(found.sum(axis=1), 1.0):
            raise ValueError("the classifier gives no probabilities")
        if (kept := self._held_distances) is not None:
            self._check_distances(features, kept)

    def _check_distances(self, features: NDArray[np.float64], kept: NDArray[Any]) -> None:
        if kept.ndim != 1 or len(kept) < 2 or (np.diff(kept) < 0).any():
            raise ValueError("the distances of pictures that were held out do not rise")
        try:
            found = self._distances(features)
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise ValueError("the arrays of the classifier do not fit each other") from error
        if found.shape != (len(features),) or not np.isfinite(found).all():
            raise ValueError("the classifier gives no distances")


def _check_scaling(found: Scaling, widths: Sequence[int]) -> None:
    if found.widths.tolist() != list(widths):
        raise ValueError("the scaling is one of other blocks")
    if found.mean.shape != (sum(widths),) or found.deviation.shape != (len(widths),):
        raise ValueError("the arrays of the scaling do not fit each other")
    if found.deviation.any() and not (found.deviation > 0).all():
        raise ValueError("the scaling divides by numbers that are not above 0")


def _check_components(found: Projection, width: int) -> int:
    if found.axes.ndim != 2 or found.mean.shape != (width,) or len(found.axes) != width:
        raise ValueError(f"the principal components are not those of vectors of {width} values")
    count = int(found.axes.shape[1])
    if not count or found.variances.shape != (count,):
        raise ValueError("the arrays of the principal components do not fit each other")
    return count
