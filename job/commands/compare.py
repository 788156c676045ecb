"""`fruits compare`: two runs beside each other."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from job.commands.options import add_debug, add_out

if TYPE_CHECKING:
    from job.experiment.past_runs import Comparison

DESCRIPTION = (
    "Sets two runs in --out beside each other: settings that differ, accuracy with the interval of the difference over "
    "categories, seconds per operation."
)
EXAMPLES = ("fruits compare monday tuesday",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs, and how they are told."""
    parser.add_argument("first", metavar="A", help="a run's name, or its folder's address; latest is the newest")
    parser.add_argument("second", metavar="B", help="the run beside it")
    add_out(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Prints the comparison. Raises UserError when one of the runs is not there, UsageError when they are the same."""
    from job.experiment.past_runs import compare, past_run

    found = compare(past_run(arguments.first, arguments.out), past_run(arguments.second, arguments.out))
    print(_json(found) if arguments.json else "\n".join(_lines(found)))  # noqa: T201  (the command's answer)
    return 0


def _json(found: "Comparison") -> str:
    facts = {
        "runs": [found.first.name, found.second.name],
        "settings": found.settings,
        "same_pictures": found.same_pictures,
        "accuracy": [found.first.accuracy, found.second.accuracy],
        "difference": None if found.accuracy is None else found.accuracy._asdict(),
        "categories": found.categories,
        "seconds": found.seconds,
    }
    return json.dumps(facts, ensure_ascii=False)


def _lines(found: "Comparison") -> list[str]:
    """Three small tables and what to think of the difference."""
    from job.report.columns import aligned
    from job.report.text import percent, plain, seconds

    def took(value: float | None) -> str:
        return "-" if value is None else seconds(value)

    first, second = found.first, found.second
    rows = [("", first.name, second.name), ("finished", first.when, second.when)]
    rows += [(name, plain(mine) or "-", plain(other) or "-") for name, (mine, other) in found.settings.items()]
    rows.append(("accuracy", percent(first.accuracy), percent(second.accuracy)))
    means = [run.mean_recall() for run in (first, second)]
    if all(means):
        rows.append(("mean of categories", str(means[0]), str(means[1])))
    times = sorted(found.seconds.items(), key=lambda item: item[0] == "total")
    rows += [(f"{name} time", took(mine), took(other)) for name, (mine, other) in times]
    lines = aligned(rows, (), sys.stdout.encoding or "utf-8")
    if found.accuracy is not None:
        mean, low, high = found.accuracy
        sure = "no sure difference" if low <= 0 <= high else f"the {'first' if mean > 0 else 'second'} is better"
        lines += [
            "",
            f"Difference over {found.categories} categories: {mean:+.3f} ({low:+.3f} to {high:+.3f}): {sure}.",
        ]
    if not found.same_pictures:
        lines += ["", "The two were made of other pictures: their accuracies can't be compared like for like."]
    return lines
