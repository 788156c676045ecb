"""Whole numbers from text: the one parser of them, for settings, options and everything else."""

import re
from collections.abc import Callable


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A function from text to a whole number of `least` or more, and of `most` or less where that is given.

    It raises ValueError, whose text says what the number may be, for anything else.
    """

    def parse(text: str) -> int:
        digits = text.strip()
        # `int` would also take 1_000, +3 and digits of other scripts, which other programs that read the value don't
        value = int(digits) if re.fullmatch(r"-?[0-9]{1,30}", digits) else least - 1
        if value < least or (most is not None and value > most):
            raise ValueError(
                f"a whole number of {least} or more" if most is None else f"a whole number from {least} to {most}"
            )
        return value

    return parse
