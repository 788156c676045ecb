"""What tests of visual words share: descriptors in clusters, and their inertia."""

import numpy as np

from job.vision import descriptors as registry

QUANTUM = registry.get("sift").quantum


def blobs(n=6000, k=12, width=16, seed=1, spread=6.0):
    """Whole numbers round K centres, in random order: uint8 of shape (n, width)."""
    random = np.random.default_rng(seed)
    centres = random.uniform(30, 200, (k, width))
    values = centres[random.integers(0, k, n)] + random.normal(0, spread, (n, width))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def direct_inertia(descriptors, words):
    """Sum of the squared distances to the nearest words, all of them computed in float64."""
    difference = descriptors.astype(np.float64)[:, None] - words.astype(np.float64)[None]
    return np.square(difference).sum(axis=2).min(axis=1).sum()
