"""`fruits runs`: the runs that are in a folder."""

import argparse
import json
import sys

from job.commands.options import add_debug, add_out

DESCRIPTION = "Lists the whole runs in --out, the newest first: name, when, pictures, accuracy, seconds."
EXAMPLES = (
    "fruits runs",
    "fruits runs --out s3://bucket/out --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the runs are, and how they are told."""
    add_out(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Prints a line a run. 0 also when there are none."""
    from job import storage
    from job.errors import tell
    from job.experiment.past_runs import past_runs
    from job.report.columns import aligned
    from job.report.text import number, percent, seconds

    runs = past_runs(arguments.out)
    if arguments.json:
        for run in runs:
            facts = {
                "name": run.name,
                "address": run.address,
                "when": run.when,
                "pictures": run.pictures,
                "accuracy": run.accuracy,
                "seconds": run.seconds.get("total"),
            }
            print(json.dumps(facts, ensure_ascii=False))  # noqa: T201  (the command's answer)
        return 0
    if not runs:
        tell(f"There is no whole run in '{storage.normalise(arguments.out)}'.")
        return 0
    rows = [("run", "finished (UTC)", "pictures", "accuracy", "time")]
    rows += [
        (
            run.name,
            run.when[:16].replace("T", " "),
            number(run.pictures),
            percent(run.accuracy),
            seconds(run.seconds["total"]) if "total" in run.seconds else "-",
        )
        for run in runs
    ]
    print("\n".join(aligned(rows, (2, 3, 4), sys.stdout.encoding or "utf-8")))  # noqa: T201  (the command's answer)
    return 0
