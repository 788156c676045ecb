"""`fruits submit`: the same run on a cluster, through the Spark operator, followed to its end."""

import argparse
from pathlib import Path

from job.commands.options import add_debug, duration, positive

DESCRIPTION = (
    "Gives a SparkApplication to the Spark operator, follows it to its end with the driver's log, and returns the "
    "job's exit code."
)


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
    add_debug(parser)
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="-- ARGUMENTS",
        help="of `fruits run`, in place of the manifest's: -- --data s3://bucket/prefix --words 100",
    )


def main(arguments: argparse.Namespace) -> int:
    """Submits, follows, fetches; 0 when the job ended well. Raises UserError, with the job's exit code, when not."""
    from job.cluster.application import Wanted
    from job.cluster.submit import Submission, submit

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
            arguments.arguments,
            Path(arguments.results) if arguments.results else None,
            arguments.wait_timeout,
            arguments.start_timeout,
            arguments.keep,
        )
    )
    return 0
