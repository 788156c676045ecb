"""Evidence for tests: pictures of categories in clusters, named as frames of videos or not at all."""

import numpy as np

from job.learn.classifiers import CLASSIFIERS
from job.learn.issues.base import Evidence, Rows

CATEGORIES = ("Apple", "Banana", "Cherry", "Date")


def clustered(pictures=60, seed=1, spread=1.0, wrong=(), classifier="lda", **more):
    """Features in a cluster a category; `wrong` are rows whose label is that of the next category."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(CATEGORIES)), pictures)
    centres = np.random.default_rng(0).normal(size=(len(CATEGORIES), 10)) * 2
    labels = truth.copy()
    labels[list(wrong)] = (labels[list(wrong)] + 1) % len(CATEGORIES)
    names = [f"{CATEGORIES[label]}/x{row}.jpg" for row, label in enumerate(truth)]
    values = centres[truth] + random.normal(size=(len(truth), 10)) * spread
    return Evidence(
        categories=CATEGORIES,
        counts=np.bincount(labels, minlength=len(CATEGORIES)),
        features={"train": Rows(names, labels, values)},
        classifier=CLASSIFIERS.get(classifier) if classifier else None,
        **more,
    )
