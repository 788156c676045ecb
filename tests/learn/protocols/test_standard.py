"""The data set's own split."""

from job.learn.protocols import PROTOCOLS
from job.learn.protocols.base import Names, Round, Scored

LISTING = Names(["A/1.jpg", "B/1.jpg"], ["A", "B"])


def test_all_training_pictures_train_and_all_test_pictures_score():
    rounds = PROTOCOLS.get("standard").rounds(LISTING, LISTING, 123)
    assert rounds == (Round("standard", Scored("train", "train"), (Scored("test", "test"),)),)
