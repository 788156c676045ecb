"""`fruits predict`: what a saved model says of new pictures."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from job.commands.options import add_debug, fraction, number
from job.errors import UsageError

if TYPE_CHECKING:
    from job.model.predict import Model, Prediction

DESCRIPTION = (
    "Says what the named pictures show, at once, without Spark and Java. One line a picture: its path, the category, "
    "its probability; 'unknown' where no category is probable enough, and '-' with the reason where a picture can't be "
    "used. The exit code is 1 when not one of the pictures could be used."
)
# Seconds within which a line is to appear, as far as the pictures allow, and most pictures that are described at once.
_SOON, _MOST = 0.25, 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is predicted, by what, and how it is told."""
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="pictures, or folders of them, here or s3:// addresses"
    )
    parser.add_argument(
        "--model",
        default="latest",
        metavar="URI",
        help="folder of a run or of its model; latest (default) is the newest whole run in --out",
    )
    parser.add_argument("--out", default="out", metavar="URI", help="where the runs are (out)")
    parser.add_argument("--top-k", type=number(1), default=1, metavar="N", help="name the N most probable categories")
    parser.add_argument(
        "--reject-below", type=fraction, default=0.0, metavar="P", help="answer 'unknown' below this probability"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Answers, picture by picture. 1 when none of them could be used."""
    if not arguments.pictures:
        raise UsageError("There is nothing to predict: name pictures, or folders of them.")
    from job.model import addresses, load_model

    address = addresses.newest(arguments.out) if arguments.model == addresses.LATEST else arguments.model
    model = load_model(address)
    count = unusable = 0
    for shown, found in _answers(model, arguments):
        sys.stdout.write(_as_json(shown, found) if arguments.json else _as_text(shown, found, arguments.top_k))
        count += 1
        unusable += not found.described
    if unusable:
        sys.stdout.flush()
        which = "The picture" if count == 1 else f"{unusable} of {count} pictures"
        print(f"fruits: {which} could not be used.", file=sys.stderr)  # noqa: T201  (the command's answer)
    return 1 if unusable == count else 0


def _answers(model: "Model", arguments: argparse.Namespace) -> "Iterator[tuple[str, Prediction]]":
    """Each picture and what the model says of it, in the order of the arguments.

    As many pictures are described at once as take a moment, so that answers come early.
    """
    from job.model import addresses

    named = addresses.contents(addresses.pictures(arguments.pictures), model.max_bytes)
    together = 1
    while part := list(islice(named, together)):
        begun = time.perf_counter()
        contents: list[Any] = [content for _, content in part]
        found = model.predict(contents, arguments.top_k, reject_below=arguments.reject_below)
        yield from zip((shown for shown, _ in part), found, strict=True)
        sys.stdout.flush()
        together = min(2 * together, _MOST) if time.perf_counter() - begun < _SOON else max(1, together // 2)


def _as_text(shown: str, found: "Prediction", top_k: int) -> str:
    """A line of fields that tabs separate: path, category, probability, then the next guesses or the reason."""
    from job.report.text import clean

    encoding = sys.stdout.encoding or "utf-8"
    if not found.described:
        fields = [shown, "-", "-", f"{found.status}: {found.reason}"]
    else:
        next_ones = (part for name, chance in found.top[1:top_k] for part in (name, f"{chance:.4f}"))
        fields = [shown, found.category or found.status, f"{found.probability:.4f}", *next_ones]
    return "\t".join(clean(field, encoding) for field in fields) + "\n"


def _as_json(shown: str, found: "Prediction") -> str:
    content = {
        "picture": shown,
        "status": found.status,
        "category": found.category,
        "probability": found.probability,
        "top": [{"category": name, "probability": chance} for name, chance in found.top],
    }
    if found.reason:
        content["reason"] = found.reason
    return json.dumps(content) + "\n"
