"""Presets are values of settings, and know which classifiers weigh pictures."""

from job.learn.classifiers import CLASSIFIERS
from job.presets import WEIGHING


def test_the_classifiers_that_weigh_pictures_are_those_that_learn_from_moments():
    assert set(WEIGHING) == {name for name in CLASSIFIERS if CLASSIFIERS.get(name).from_moments is not None}
