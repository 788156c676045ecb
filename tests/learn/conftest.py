"""Made-up features with categories."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="package")
def of_one_shape() -> Callable[[float, float], tuple[np.ndarray, np.ndarray]]:
    """Makes rows (1200, 20) and labels (1200,) of six categories that have the same covariance.

    It is asked with the mean and the deviation of the categories' means.
    """

    def make(centre: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(2)
        labels = random.integers(0, 6, 1200)
        means = random.normal(centre, spread, (6, 20))
        mix = random.normal(0, 1, (20, 20)) / 4
        return means[labels] + random.normal(0, 1, (1200, 20)) @ mix, labels

    return make
