"""Feed-forward networks with sigmoid hidden layers and a softmax output, trained by L-BFGS on the mean cross-entropy.

Without hidden layers this is multinomial logistic regression.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Weights = tuple[NDArray[np.float64], ...]
# Number of rows that are worked on at a time, so that their activations stay in the second-level cache.
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes
    ----------
    centre, scale
        float64 (d,): features are first centred and divided by the scale.
    weights
        float64 (inputs + 1, outputs) of each layer; the last row holds the biases.

    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: Weights

    @property
    def layers(self) -> list[int]:
        """Number of values in each layer: the features, each hidden layer, the categories."""
        return [len(self.weights[0]) - 1, *(matrix.shape[1] for matrix in self.weights)]


def _forward(features: NDArray[np.float64], weights: Weights) -> list[NDArray[np.float64]]:
    """Inputs of every layer, then the logits."""
    activations = [features]
    for depth, matrix in enumerate(weights):
        sums = activations[-1] @ matrix[:-1]
        sums += matrix[-1]
        if depth < len(weights) - 1:  # the sigmoid, in place
            sums *= 0.5
            np.tanh(sums, out=sums)
            sums *= 0.5
            sums += 0.5
        activations.append(sums)
    return activations


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    chances: NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    np.exp(chances, out=chances)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def probabilities(features: NDArray[np.float64], network: Network) -> NDArray[np.float64]:
    """Probabilities float64 (n, C) of each category for features (n, d); rows add up to 1."""
    return _softmax(_forward(_scaled(features, network.centre, network.scale), network.weights)[-1])


def _scaled(
    features: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Features (n, d), centred and divided by the scale. They are copied once where that changes them, else not."""
    if not centre.any() and (scale == 1.0).all():
        return np.asarray(features, np.float64)
    found: NDArray[np.float64] = features - centre
    found /= scale
    return found


def unpack(flat: NDArray[np.float64], layers: Sequence[int]) -> Weights:
    """The matrices of the layers as views of all weights in a row."""
    matrices, start = [], 0
    for inputs, outputs in pairwise(layers):
        size = (inputs + 1) * outputs
        matrices.append(flat[start : start + size].reshape(inputs + 1, outputs))
        start += size
    return tuple(matrices)


def loss_and_gradient(
    flat: NDArray[np.float64],
    layers: Sequence[int],
    features: NDArray[np.float64],
    labels: NDArray[np.integer],
    penalty: float,
    each: Callable[..., Iterable[Any]] = map,
) -> tuple[float, NDArray[np.float64]]:
    """Mean cross-entropy with a penalty, and its gradient by back-propagation (Rumelhart, Hinton and Williams, 1986).

    Parameters
    ----------
    flat : float64 of shape (sum of (inputs + 1) * outputs,)
        The weights of all layers in a row.
    layers
        Number of values in each layer.
    features, labels : (n, d) and (n,)
        Labels are whole numbers in 0..C-1.
    penalty
        Half of it, times the sum of the squared weights without the biases, is added to the loss.
    each
        Maps a function over blocks of rows, like `map`. Their results are added in the order of the blocks.

    Returns
    -------
    The loss, and the gradient in the shape of `flat`.

    Raises
    ------
    ValueError
        There are no rows.

    """
    return penalised(flat, layers, penalty, *cross_entropy(flat, layers, features, labels, len(labels), each))


def cross_entropy(
    flat: NDArray[np.float64],
    layers: Sequence[int],
    features: NDArray[np.float64],
    labels: NDArray[np.integer],
    count: int,
    each: Callable[..., Iterable[Any]] = map,
) -> tuple[float, NDArray[np.float64]]:
    """What these rows, out of `count`, add to the mean cross-entropy, and to its gradient: see `loss_and_gradient`."""
    _check_rows(labels)
    weights = unpack(flat, layers)

    def part(rows: slice) -> tuple[float, NDArray[np.float64]]:
        return _loss_and_gradient(weights, features[rows], labels[rows], count)

    losses, gradients = zip(*each(part, _blocks(len(labels))), strict=True)
    return sum(losses), sum(gradients[1:], start=gradients[0])


def penalised(
    flat: NDArray[np.float64], layers: Sequence[int], penalty: float, loss: float, gradient: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """A loss and its gradient with the penalty of `loss_and_gradient`; the gradient is changed in place."""
    for matrix, own in zip(unpack(flat, layers), unpack(gradient, layers), strict=True):
        loss += 0.5 * penalty * float(np.square(matrix[:-1]).sum())
        own[:-1] += penalty * matrix[:-1]
    return loss, gradient


def _check_rows(labels: NDArray[np.integer]) -> None:
    if not len(labels):
        raise ValueError("There are no pictures to learn categories from")


def _blocks(rows: int) -> list[slice]:
    """Blocks of about the same size; where they are many, their number is a multiple of eight, which two, four or eight
    threads share evenly. The blocks do not depend on the number of threads, so that sums do not either."""
    count = max(1, -(-rows // _BLOCK_ROWS))
    step = -(-rows // (count // 8 * 8 or count))
    return [slice(start, start + step) for start in range(0, rows, step)]


def _loss_and_gradient(
    weights: Weights, features: NDArray[np.float64], labels: NDArray[np.integer], count: int
) -> tuple[float, NDArray[np.float64]]:
    """What these rows, out of `count`, contribute to the mean loss and its gradient."""
    *inputs, logits = _forward(features, weights)
    error = _softmax(logits)
    rows = np.arange(len(labels))
    loss = -float(np.log(np.maximum(error[rows, labels], 1e-300)).sum()) / count
    error[rows, labels] -= 1.0
    error /= count
    gradients: list[NDArray[np.float64]] = []
    for depth in range(len(weights) - 1, -1, -1):
        below = inputs[depth]
        gradients.append(np.vstack([below.T @ error, error.sum(axis=0)]).ravel())
        if depth:
            error = error @ weights[depth][:-1].T
            error *= below
            error *= 1.0 - below
    return loss, np.concatenate(gradients[::-1])


class Rows(Protocol):
    """Features and labels that a network learns from, wherever they are."""

    @property
    def width(self) -> int:
        """Number of features."""

    def spread(self) -> tuple[NDArray[np.float64], float]:
        """Mean of each feature, float64 (d,), and the root of their mean variance."""

    def scaled(self, centre: NDArray[np.float64], scale: NDArray[np.float64]) -> Self:
        """The rows, centred and divided by the scale."""

    def loss_and_gradient(
        self, flat: NDArray[np.float64], layers: Sequence[int], penalty: float
    ) -> tuple[float, NDArray[np.float64]]:
        """See the function of this name."""


@dataclass(frozen=True)
class ArrayRows:
    """Rows in the memory of this process: features float64 (n, d) and labels (n,); see `loss_and_gradient`.

    ValueError when there are no rows.
    """

    features: NDArray[np.float64]
    labels: NDArray[np.integer]
    each: Callable[..., Iterable[Any]] = map

    def __post_init__(self) -> None:
        """Refuse to learn from nothing."""
        _check_rows(self.labels)

    @property
    def width(self) -> int:
        """Number of features."""
        return int(self.features.shape[1])

    def spread(self) -> tuple[NDArray[np.float64], float]:
        """Mean of each feature, float64 (d,), and the root of their mean variance."""
        return self.features.mean(axis=0), float(np.sqrt(self.features.var(axis=0).mean()))

    def scaled(self, centre: NDArray[np.float64], scale: NDArray[np.float64]) -> "ArrayRows":
        """The rows, centred and divided by the scale."""
        return ArrayRows(_scaled(self.features, centre, scale), self.labels, self.each)

    def loss_and_gradient(
        self, flat: NDArray[np.float64], layers: Sequence[int], penalty: float
    ) -> tuple[float, NDArray[np.float64]]:
        """See the function of this name."""
        return loss_and_gradient(flat, layers, self.features, self.labels, penalty, self.each)


def train(
    rows: Rows,
    layers: Sequence[int],
    *,
    seed: int,
    max_iterations: int = 200,
    tolerance: float = 1e-6,
    penalty: float = 0.0,
    scaled: bool = False,
) -> Network:
    """Train a network.

    Weights start uniform in +-2.4 / inputs, as in Spark's MultilayerPerceptronClassifier, and are moved by L-BFGS
    (Liu and Nocedal, 1989).

    Parameters
    ----------
    rows
        What it learns from.
    layers
        Number of values in each layer: [d, hidden ..., C].
    seed
        Seed of the first weights.
    max_iterations
        Most iterations.
    tolerance
        Stop when an iteration lowers the loss by less than this fraction of it.
    penalty
        See `loss_and_gradient`.
    scaled
        Centre the features and divide all of them by one number, the root of their mean variance. A number for each
        feature would raise the noise of the last components to the level of the first.

    """
    from scipy.optimize import minimize

    centre, scale = np.zeros(rows.width), np.ones(rows.width)
    if scaled:
        centre, spread = rows.spread()
        scale = scale * (spread or 1.0)
    random = np.random.default_rng(seed)
    start = np.concatenate(
        [random.uniform(-2.4 / inputs, 2.4 / inputs, (inputs + 1) * outputs) for inputs, outputs in pairwise(layers)]
    )
    best = minimize(
        rows.scaled(centre, scale).loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        args=(layers, penalty),
        options={
            "maxiter": max_iterations,
            "ftol": tolerance,
            "gtol": 1e-9,
            "maxcor": 10,
            "maxfun": 10 * max_iterations,
        },
    )
    return Network(centre, scale, unpack(best.x, layers))
