"""Trained on a fruit that turned about one axis, scored on videos of another, both ways.

Names of Fruits-360 say the axis: `12_100.jpg` is a frame of the first video, `r_12_100.jpg`, `r0_`, `r2_` and `r3_` are
frames of others, whose light and colours differ too.
"""

import numpy as np
from numpy.typing import NDArray

from job.learn.frames import TURN
from job.learn.protocols.base import Names, Protocol, Round, Scored


def turned(name: str) -> bool | None:
    """Whether a picture is from a video of another axis; None where its name does not say."""
    found = TURN.search(name)
    return None if found is None else found[1] is not None


def _rows(pictures: Names, side: bool, cats: set[str] | None = None) -> NDArray[np.intp]:
    rows = [
        row
        for row, (name, cat) in enumerate(zip(pictures.names, pictures.cats, strict=True))
        if turned(name) is side and (cats is None or cat in cats)
    ]
    return np.array(rows, np.intp)


def _plan(train: Names, test: Names, seed: int) -> tuple[Round, ...]:
    """Two rounds. A category is scored only where it has training pictures of the round's axis."""
    del seed
    rounds = []
    for name, side in (("plain to r", False), ("r to plain", True)):
        learned = _rows(train, side)
        scored = _rows(test, not side, {train.cats[row] for row in learned})
        if not len(learned) or not len(scored):
            raise ValueError(
                "The protocol 'rotation' needs pictures of both axes in Training and Test, named as in Fruits-360: "
                "12_100.jpg for one axis, r_12_100.jpg for the other."
            )
        rounds.append(Round(name, Scored("train", "train", learned), (Scored("test", "test", scored),)))
    return tuple(rounds)


ROTATION = Protocol("rotation", _plan)
