"""`fruits show`: the main figures of one run, or its report."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from job.commands.options import add_debug, add_out

if TYPE_CHECKING:
    from job.experiment.past_runs import PastRun

DESCRIPTION = "Prints what a run in --out did and found; --open shows its report in a browser."
EXAMPLES = (
    "fruits show",
    "fruits show monday --open",
)
# Settings that are shown where they have a value.
_SHOWN = ("preset", "features", "descriptor", "words", "components", "augment", "classifier", "protocol", "seed")
_SLOWEST = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and how it is told."""
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="its name, or its folder's address; latest (default)"
    )
    add_out(parser)
    parser.add_argument("--open", action="store_true", help="open its report in a browser")
    parser.add_argument("--json", action="store_true", help="print its whole manifest as JSON")
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Prints the figures. Raises UserError when there is no such run, or no report to open."""
    from job.experiment.past_runs import past_run
    from job.report.columns import aligned

    run = past_run(arguments.run, arguments.out)
    if arguments.json:
        print(json.dumps(run.manifest, indent=2, ensure_ascii=False))  # noqa: T201  (the command's answer)
    else:
        print("\n".join(aligned(list(_facts(run)), (), sys.stdout.encoding or "utf-8")))  # noqa: T201  (the command's answer)
    if arguments.open:
        _open(run)
    return 0


def _facts(run: "PastRun") -> list[tuple[str, str]]:
    """Names and values of what is shown."""
    from job.experiment.past_runs import REPORT
    from job.report.text import number, percent, plain, seconds

    facts = [("run", run.address), ("finished", run.when)]
    for split, found in run.manifest.get("dataset", {}).items():
        if isinstance(found, dict):
            facts.append((split, _pictures(found)))
    facts += [(name, plain(run.settings[name])) for name in _SHOWN if run.settings.get(name) not in (None, "", [])]
    if run.accuracy is not None:
        facts.append(("accuracy", percent(run.accuracy)))
    mean = run.mean_recall()
    if mean is not None:
        facts.append(("mean of categories", str(mean)))
        worst = sorted(run.recalls().items(), key=lambda item: (item[1], item[0]))[:3]
        facts.append(("least right", ", ".join(f"{cat} {percent(recall)}" for cat, recall in worst)))
    if "total" in run.seconds:
        facts.append(("time", seconds(run.seconds["total"])))
    slowest = sorted(((value, name) for name, value in run.seconds.items() if name != "total"), reverse=True)
    facts += [(f"  {name}", seconds(value)) for value, name in slowest[:_SLOWEST]]
    if run.manifest.get("cores"):
        facts.append(("cores", number(run.manifest["cores"])))
    report = run.file(REPORT)
    return [*facts, ("report", report)] if report else facts


def _pictures(found: dict[str, Any]) -> str:
    """What a manifest says of the pictures of a split."""
    from job.report.text import number

    without = [(found.get("without_descriptors", 0), "without descriptors"), (found.get("rejected", 0), "rejected")]
    told = [f"{number(count)} {what}" for count, what in without if count]
    categories = len(found.get("categories", {}))
    return ", ".join([f"{number(found.get('images', 0))} pictures of {number(categories)} categories", *told])


def _open(run: "PastRun") -> None:
    """Shows the report in a browser. Raises UserError when there is none, or when it lies in a bucket."""
    import webbrowser
    from pathlib import Path

    from job import storage
    from job.errors import UserError
    from job.experiment.past_runs import REPORT

    report = run.file(REPORT)
    if report is None:
        raise UserError(f"The run '{run.name}' has no {REPORT}: it was made with another command.")
    if storage.is_remote(report):
        raise UserError(f"'{report}' is in a bucket: copy it here to open it.")
    if not webbrowser.open(Path(report).as_uri()):
        raise UserError(f"There is no browser to open '{report}' with.")
