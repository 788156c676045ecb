"""Trained on 1, 5, 10 and 50 pictures a category, each drawn three times; scored on all test pictures."""

from job.learn.protocols.base import Names, Protocol, Round, Scored
from job.learn.protocols.draw import some

COUNTS = (1, 5, 10, 50)
DRAWS = 3


def _plan(train: Names, test: Names, seed: int) -> tuple[Round, ...]:
    del test
    return tuple(
        Round(
            f"{count} a category, draw {draw + 1}",
            Scored("train", "train", some(train, count, seed, f"few-shot {draw}")),
            (Scored("test"),),
        )
        for count in COUNTS
        for draw in range(DRAWS)
    )


FEW_SHOT = Protocol("few-shot", _plan)
