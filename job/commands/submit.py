"""`fruits submit`: a command on a cluster, through the Spark operator, followed to its end."""

import argparse
import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from job.commands.options import add_debug, duration, positive
from job.errors import UsageError
from job.experiment.flags import add_telling, telling_of
from job.parser import Parser

if TYPE_CHECKING:
    from job.cluster.command_line import Command

DESCRIPTION = (
    "Gives a SparkApplication to the Spark operator, follows it to its end with the driver's log, and returns the "
    "job's exit code. `fruits submit predict -- ...` and `fruits submit tune -- ...` submit another "
    "command than `run`."
)
EXAMPLES = (
    "fruits submit --executors 2 --results results -- --data s3://bucket/pictures --words 200",
    "fruits submit predict -- --model s3://bucket/out/monday --data s3://bucket/new",
    "fruits submit tune -- --data s3://bucket/pictures --protocol rotation --budget 1h",
)
REST = "arguments"
# Commands that work with Spark: each is a module of this package, whose `check_submitted(arguments)`, if there is one,
# raises UsageError for what the job would refuse.
_SUBMITTED = ("run", "predict", "tune")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fruits submit`."""
    parser.add_argument(
        "--manifest", metavar="FILE", help="a SparkApplication (default: the shipped one, k8s/sparkapplication.yaml)"
    )
    parser.add_argument("--name", metavar="NAME", help="name of the SparkApplication (default: the manifest's)")
    parser.add_argument("--namespace", metavar="NS", help="namespace (default: the manifest's, else fruits)")
    parser.add_argument("--image", metavar="IMAGE", help="image of driver and executors")
    parser.add_argument("--executors", type=positive, metavar="N", help="number of executors (no dynamic allocation)")
    parser.add_argument(
        "--executor-cores", type=positive, metavar="N", help="task slots of each; the CPU reserved grows with them"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="fields",
        help="a field of the manifest's spec, such as driver.memory=2g; may be repeated",
    )
    parser.add_argument(
        "--wait-timeout",
        type=duration,
        default=1800.0,
        metavar="30m",
        help="give up when the job has not ended by then (30m)",
    )
    parser.add_argument(
        "--start-timeout",
        type=duration,
        default=120.0,
        metavar="2m",
        help="give up when a pod could not start by then (2m; 10m while the cluster is adding a node, "
        "30s when its image can't be pulled)",
    )
    parser.add_argument(
        "--results",
        metavar="DIR",
        help="copy the run's folder from the store to DIR/<run name>; "
        "takes the store's address and keys from this environment (AWS_...)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the job where it is when this command gives up or is interrupted (default: delete it)",
    )
    add_telling(parser, about={"verbose": "tell each event of the job and its pods, not warnings alone"})
    add_debug(parser)
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="[COMMAND] -- ARGUMENTS",
        help="a command (run) and its arguments, in place of the manifest's: -- --data s3://bucket/prefix --words 100, "
        "predict -- --model s3://bucket/out/run --data s3://bucket/new, or tune -- --data s3://bucket/prefix",
    )


def main(arguments: argparse.Namespace) -> int:
    """Submits, follows, fetches; 0 when the job ended well. Raises UserError, with the job's exit code, when not."""
    from job.cluster.application import Wanted
    from job.cluster.display import Display
    from job.cluster.submit import Submission, submit

    asked = telling_of(arguments, os.environ)
    command, given = _command(arguments.arguments)
    wanted = Wanted(
        arguments.name,
        arguments.namespace,
        arguments.image,
        arguments.executors,
        arguments.executor_cores,
        tuple(arguments.fields),
    )
    submit(
        Submission(
            Path(arguments.manifest) if arguments.manifest is not None else None,
            wanted,
            command,
            given,
            Path(arguments.results) if arguments.results else None,
            arguments.wait_timeout,
            arguments.start_timeout,
            arguments.keep,
            Display(quiet=asked["quiet"], verbose=asked["verbose"], as_json=asked["json"]),
        )
    )
    return 0


def _command(arguments: Sequence[str]) -> "tuple[Command, Sequence[str]]":
    """The command that the first argument names, else `run`; and the arguments after it."""
    from job.cluster.command_line import Other, Run

    name, given = (
        (arguments[0], arguments[1:]) if arguments and not arguments[0].startswith("-") else ("run", arguments)
    )
    known = [each for each in _SUBMITTED if find_spec(f"job.commands.{each}")]
    if name not in known:
        raise UsageError(
            f"'{name}' can't be submitted: choose one of {', '.join(known)}, and put its arguments behind --."
        )
    if name == "run":
        return Run(), given
    module = import_module(f"job.commands.{name}")
    parser = Parser(prog=f"fruits {name}", allow_abbrev=False)
    module.add_arguments(parser)
    return Other(name, parser, getattr(module, "check_submitted", lambda _: None)), given
