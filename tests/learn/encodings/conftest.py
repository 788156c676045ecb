"""Made-up local descriptors of some pictures."""

import numpy as np
import pytest


@pytest.fixture(scope="package")
def local_rows() -> np.ndarray:
    """Rows (2000, 16) around nine centres."""
    random = np.random.default_rng(1)
    centres = random.integers(0, 200, (9, 16))
    return np.clip(centres[random.integers(0, 9, 2000)] + random.normal(0, 12, (2000, 16)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="package")
def pictures() -> np.ndarray:
    """The picture of each row, of six, the fourth of which has none."""
    return np.sort(np.random.default_rng(2).choice([0, 1, 2, 4, 5], 2000)).astype(np.int64)
