"""Trained on all training pictures, scored on some test pictures as they are and under each disturbance."""

from job.learn.protocols.base import Names, Protocol, Round, Scored
from job.learn.protocols.draw import some

# Names of the disturbances of `job.vision.disturb`, in their order.
KINDS = (
    "blur",
    "dark",
    "bright",
    "gamma-0.6",
    "gamma-1.6",
    "warm",
    "cool",
    "turn-45",
    "turn-90",
    "50px",
    "200px",
    "jpeg-30",
    "grey-ground",
    "noise",
    "shift",
    "corner",
)
# Test pictures of a category that each disturbance is scored on.
PICTURES = 24


def _plan(train: Names, test: Names, seed: int) -> tuple[Round, ...]:
    del train
    rows = some(test, PICTURES, seed, "robustness")
    tests = [Scored("undisturbed", "test", rows), *(Scored(kind, "test", rows, kind) for kind in KINDS)]
    return (Round("robustness", Scored("train", "train"), tuple(tests)),)


ROBUSTNESS = Protocol("robustness", _plan)
