"""Names of Fruits-360: frames of videos of a turning fruit, in the order of their numbers.

`12_100.jpg` is a frame of the first video, `r_12_100.jpg` and `r2_12_100.jpg` are frames of others.
"""

import re
from typing import NamedTuple

TURN = re.compile(r"(?:^|/)(r\d*_)?(\d+)_[^/]*$")
"""What a frame's name begins with: the video ("" is None here), and the number. Whatever follows is taken."""
_NAME = re.compile(r"^(?:.*/)?(r\d*_)?(\d+)_\d+\.\w+$")


class Frame(NamedTuple):
    """The video of a frame within its category, "" or "r_", "r2_", ..., and its number."""

    video: str
    number: int


def frame(name: str) -> Frame | None:
    """The frame that a picture's whole name tells; None where it tells none."""
    found = _NAME.match(name)
    return None if found is None else Frame(found[1] or "", int(found[2]))
