import numpy as np
import pytest

from job.learn.projection import projected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_distances_are_kept_but_for_the_error_that_is_told(dtype):
    values = np.random.default_rng(1).normal(size=(60, 900)).astype(dtype)
    found = projected(values, 200, seed=5)
    assert found.shape == (60, 200)
    ratio = np.linalg.norm(found[0] - found[1:], axis=1) / np.linalg.norm(values[0].astype(float) - values[1:], axis=1)
    assert np.abs(ratio - 1).mean() < 2 / 400**0.5


def test_parts_are_projected_as_the_whole_is():
    values = np.random.default_rng(1).normal(size=(5000, 30))
    whole = projected(values, 4, seed=5)
    np.testing.assert_allclose(
        np.vstack([projected(part, 4, seed=5) for part in (values[:7], values[7:])]), whole, rtol=1e-5, atol=1e-5
    )


def test_short_vectors_stay_as_they_are():
    values = np.ones((3, 4))
    assert projected(values, 4, seed=5) is values
