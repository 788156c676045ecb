"""Functions that classifiers made of a network share: a network of `job.learn.network` as arrays, and back."""

import numpy as np
from numpy.typing import NDArray

from job.learn import network
from job.learn.classifiers.base import Trained

_WEIGHTS = "weights_"


def trained(found: network.Network) -> Trained:
    """A network as arrays: `centre`, `scale`, and `weights_0`, `weights_1`, ... of its layers."""
    weights = {f"{_WEIGHTS}{depth}": matrix for depth, matrix in enumerate(found.weights)}
    return Trained({"centre": found.centre, "scale": found.scale, **weights}, {"layers": found.layers})


def probabilities(features: NDArray[np.float64], found: Trained) -> NDArray[np.float64]:
    """Probability of each category: float64 (n, C) for features (n, d)."""
    own = found.arrays
    layers = sum(name.startswith(_WEIGHTS) for name in own)
    weights = tuple(own[f"{_WEIGHTS}{depth}"] for depth in range(layers))
    return network.probabilities(features, network.Network(own["centre"], own["scale"], weights))
