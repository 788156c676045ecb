"""`fruits submit`: the same run on a cluster, through the Spark operator, followed to its end."""

import argparse
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from job.cluster import arguments as run_arguments
from job.cluster import manifest
from job.cluster.manifest import KIND, MADE_BY, PLURAL
from job.errors import UsageError, UserError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_GONE = 60.0
INTERRUPTED = 130


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
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="-- ARGUMENTS",
        help="of `fruits run`, in place of the manifest's: -- --data s3://bucket/prefix --words 100",
    )


def main(arguments: argparse.Namespace) -> int:
    """Submits, follows, fetches; returns the job's exit code. Raises UserError with one sentence when it failed."""
    from job.experiment.run import default_run_name

    own = arguments.manifest is not None
    document = manifest.load(Path(arguments.manifest) if own else manifest.shipped())
    wanted = manifest.Wanted(
        arguments.name,
        arguments.namespace,
        arguments.image,
        arguments.executors,
        arguments.executor_cores,
        tuple(arguments.fields),
    )
    given = arguments.arguments[1:] if arguments.arguments[:1] == ["run"] else arguments.arguments
    document = manifest.prepare(document, wanted, given, default_run_name())
    flags = run_arguments.parse(document["spec"]["arguments"]) if manifest.runs_fruits(document) else {}
    if flags and not own:
        run_arguments.check_addresses(flags)
    folder = Path(arguments.results) if arguments.results else None
    if folder:
        if not flags:
            raise UsageError(
                "--results can't tell where the results are: the manifest's arguments are not those of `fruits run`."
            )
        from job.cluster import results

        results.check(run_arguments.settings(flags).out, folder)
    with terminated_as_interrupted():
        return _run(document, flags, folder, arguments)


def _run(document: dict[str, Any], flags: dict[str, Any], folder: Path | None, arguments: argparse.Namespace) -> int:
    from job.cluster.cluster import connect
    from job.cluster.diagnosis import patience
    from job.cluster.display import Display
    from job.cluster.follow import Follower, StuckError

    name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
    cluster = connect()
    check_operator(cluster, namespace)
    with Display() as display:
        _make_room(cluster, name, namespace, display)
        follower = Follower(
            cluster, name, namespace, display, arguments.wait_timeout, patience(arguments.start_timeout)
        )
        try:
            cluster.create(document)
            display.say(
                f"{KIND} '{name}' made in namespace '{namespace}' of {cluster.host}, image {document['spec']['image']}"
            )
            ending = follower.run()
        except (KeyboardInterrupt, StuckError) as error:
            said = error.message if isinstance(error, StuckError) else "Interrupted."
            code = error.exit_code if isinstance(error, StuckError) else INTERRUPTED
            raise UserError(f"{said} {_give_up(cluster, name, namespace, keep=arguments.keep)}", code) from None
        if ending.code:
            raise UserError(ending.sentence, ending.code)
        out = run_arguments.settings(flags).out if flags else None
        if folder and out and not flags.get("dry_run"):
            from job.cluster import results

            display.say(f"Results: {results.fetch(out, flags['run_name'], folder)}")
        elif out:
            display.say(f"Done. Results: {out.rstrip('/')}/{flags['run_name']}")
    return 0


def check_operator(cluster: Any, namespace: str) -> None:
    """Raises UserError when nobody in the cluster would start the job."""
    from job.cluster.cluster import INSTALL

    if not cluster.serves_applications():
        raise UserError(
            f"The Spark operator is not installed in the cluster, which knows no {KIND}: `{INSTALL % namespace}`."
        )
    found = cluster.operators()
    if not found:  # installed in another way than by its chart, or not for this user to see
        return
    fitting = [operator for operator in found if operator.looks_after(namespace)]
    if not fitting:
        named = ", ".join(sorted({name for operator in found for name in operator.namespaces}))
        raise UserError(
            f"The Spark operator does not look after namespace '{namespace}', but {named}: add it to "
            "spark.jobNamespaces (`helm upgrade`), or give --namespace."
        )
    if not any(operator.ready for operator in fitting):
        raise UserError(
            f"The Spark operator in namespace '{fitting[0].namespace}' is not running: `kubectl -n "
            f"{fitting[0].namespace} get pods` shows why."
        )


def _make_room(cluster: Any, name: str, namespace: str, display: Any) -> None:
    """Removes a finished job of the same name that an earlier `submit` has made. Raises UserError for any other."""
    there = cluster.application(name, namespace)
    if there is None:
        return
    state = ((there.get("status") or {}).get("applicationState") or {}).get("state") or "new"
    labels = there["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in MADE_BY.items()):
        raise UserError(
            f"There is a {KIND} '{name}' in namespace '{namespace}' that `fruits submit` has not made: "
            "choose another --name."
        )
    if state not in ("COMPLETED", "FAILED"):
        raise UserError(
            f"The {KIND} '{name}' in namespace '{namespace}' is {state}: wait for it, delete it "
            f"(`kubectl -n {namespace} delete {PLURAL} {name}`), or choose another --name."
        )
    display.say(f"The earlier {KIND} '{name}', {state}, is deleted")
    _delete(cluster, name, namespace)


def _give_up(cluster: Any, name: str, namespace: str, *, keep: bool) -> str:
    """Deletes what was made, unless it is to be kept; says which."""
    if keep:
        return f"The job is kept: `kubectl -n {namespace} get {PLURAL} {name}`."
    try:
        _delete(cluster, name, namespace)
    except UserError as error:
        return (
            f"The job could not be deleted ({error.message.rstrip('.')}): `kubectl -n {namespace} delete {PLURAL} "
            f"{name}`."
        )
    return "The job was deleted (--keep leaves it)."


def _delete(cluster: Any, name: str, namespace: str) -> None:
    """Deletes the application and waits until its pods are on their way out."""
    cluster.delete(name, namespace)
    limit = time.monotonic() + _GONE
    while cluster.application(name, namespace) is not None or any(
        not pod["metadata"].get("deletionTimestamp") for pod in cluster.pods(name, namespace)
    ):
        if time.monotonic() > limit:
            raise UserError(f"{KIND} '{name}' and its pods are still there after {_GONE:.0f} s.")
        time.sleep(0.5)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, as from a CI system that gives up, is handled as Ctrl-C is."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def duration(text: str) -> float:
    """Seconds of a time such as 90s, 30m or 2h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"'{text}' must be a time such as 90s, 30m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' must be a whole number of 1 or more")
    return int(text)
