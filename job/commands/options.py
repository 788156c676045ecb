"""Types of options that several commands share: text to value, or a sentence that says what it must be."""

import argparse
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from job.experiment.flags import telling_of
from job.numbers import whole_number

if TYPE_CHECKING:
    from job.model.predict import Rejection
    from job.report.console import Console

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def number(least: int) -> Callable[[str], int]:
    """A type of options: whole numbers of `least` or more."""
    parse = whole_number(least)

    def value(text: str) -> int:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' must be {error}") from None

    return value


positive = number(1)


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' must be a number from 0 to 1")
    return value


def duration(text: str) -> float:
    """Seconds of a time such as 90s, 30m or 2h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"'{text}' must be a time such as 90s, 30m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


def counts(text: str) -> list[int]:
    """Whole numbers separated by commas, each once, in their order."""
    try:
        return sorted({positive(part.strip()) for part in text.split(",")})
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"'{text}' must be whole numbers of 1 or more, such as 1,2,4") from None


def memory(text: str) -> int:
    """MB of an amount such as `2g` or `1536m`."""
    factor = {"m": 1, "g": 1024}.get(text[-1:].lower())
    if factor is None or not text[:-1].isdecimal() or not int(text[:-1]):
        raise argparse.ArgumentTypeError(f"'{text}' must be an amount of memory such as 1536m or 2g")
    return int(text[:-1]) * factor


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Adds `--debug`."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def dollars(text: str) -> float:
    """An amount of money, nothing or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' must be a number of dollars")
    return value


def add_prices(parser: argparse._ActionsContainer) -> None:
    """Adds the options by which cost is reckoned: `--instance` and `--price-per-hour`."""
    parser.add_argument(
        "--instance", default="m5.xlarge", metavar="TYPE", help="machine whose price is reckoned with (m5.xlarge)"
    )
    parser.add_argument(
        "--price-per-hour",
        type=dollars,
        metavar="USD",
        help="its price, where the table's (on demand, us-east-1) is not yours",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`, which `job.model.addresses.loaded` understands, `--reject-below` and `--reject-unknown`."""
    parser.add_argument(
        "--model",
        default="latest",
        metavar="URI",
        help="folder of a run or of its model; latest (default) is the newest whole run in --out",
    )
    parser.add_argument(
        "--reject-below", type=fraction, default=0.0, metavar="P", help="answer 'unknown' below this probability"
    )
    parser.add_argument(
        "--reject-unknown",
        type=fraction,
        default=0.0,
        metavar="SHARE",
        help="answer 'unknown' to what is unlike all categories, and to this share of known pictures, such as 0.02",
    )


def rejection_of(arguments: argparse.Namespace) -> "Rejection":
    """What `--reject-below` and `--reject-unknown` ask for."""
    from job.model.predict import Rejection

    return Rejection(arguments.reject_below, arguments.reject_unknown)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Adds `--out`, where runs are looked for: FRUITS_OUT where it is not given, else `out`."""
    parser.add_argument(
        "--out",
        metavar="URI",
        default=os.environ.get("FRUITS_OUT") or "out",
        help="folder or s3:// address where the runs are (default: FRUITS_OUT, else out)",
    )


def console_of(arguments: argparse.Namespace, *, terminal: bool | None = None) -> "Console":
    """The console that tells as much as `-q`, `-v` and `--json`, or the environment, ask for."""
    from job.report.console import Console

    asked = telling_of(arguments, os.environ)
    return Console(quiet=asked["quiet"], verbose=asked["verbose"], as_json=asked["json"], terminal=terminal)


def say(arguments: argparse.Namespace, sentence: str) -> None:
    """Prints what a command has done, unless it is to be quiet."""
    if not telling_of(arguments, os.environ)["quiet"]:
        print(sentence)  # noqa: T201  (the command's answer)
