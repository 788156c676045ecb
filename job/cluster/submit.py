"""A job on a cluster: handed to the Spark operator, followed to its end, its results fetched."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.cluster import application, run_arguments
from job.cluster.application import KIND, MADE_BY, PLURAL, Wanted
from job.cluster.command_line import Command
from job.errors import UsageError, UserError

if TYPE_CHECKING:
    from job.cluster.display import Display

# Seconds that a deleted application and its pods may take to be gone.
_GONE = 60.0
INTERRUPTED = 130


@dataclass(frozen=True)
class Submission:
    """What the command line says of a job that is submitted.

    Attributes
    ----------
    manifest
        File with the SparkApplication; None: the shipped one, whose pods mount no folder of this machine.
    wanted
        What is set in it.
    command
        The command of `fruits` that it runs.
    arguments
        Of that command, in place of the manifest's.
    results
        Folder of this machine that the run's folder is copied into; None copies nothing.
    wait_timeout
        Seconds after which the job is given up, when it has not ended by then.
    start_timeout
        Seconds after which the job is given up, when a pod could not start by then.
    keep
        Whether a job that is given up stays in the cluster.
    display
        What it is shown by; None: as it is told where nobody asks for less, more or JSON.

    """

    manifest: Path | None
    wanted: Wanted
    command: Command
    arguments: Sequence[str]
    results: Path | None
    wait_timeout: float
    start_timeout: float
    keep: bool
    display: "Display | None" = None


def submit(job: Submission) -> None:
    """Submits the job, follows it to its end, and copies its results.

    Raises
    ------
    UserError
        With one sentence, and the job's exit code, when it failed, was given up or interrupted.

    """
    from job.experiment.run import default_run_name

    document = application.load(job.manifest or application.shipped())
    document = application.prepare(document, job.wanted, job.arguments, default_run_name(), job.command)
    flags = job.command.flags(document["spec"]["arguments"]) if application.runs(document, job.command) else {}
    if flags and job.manifest is None:
        run_arguments.check_addresses(flags)
    if job.results:
        if not flags:
            raise UsageError(
                "--results can't tell where the results are: the manifest's arguments are not those of "
                f"`fruits {job.command.name}`."
            )
        from job.cluster import results

        results.check(run_arguments.out(flags), job.results)
    _run(document, flags, job)


def _run(document: dict[str, Any], flags: dict[str, Any], job: Submission) -> None:
    from job.cluster.cluster import connect
    from job.cluster.diagnosis import patience
    from job.cluster.display import Display
    from job.cluster.follow import Follower, StuckError

    name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
    cluster = connect()
    check_operator(cluster, namespace)
    with job.display or Display() as display:
        _make_room(cluster, name, namespace, display)
        follower = Follower(cluster, name, namespace, display, job.wait_timeout, patience(job.start_timeout))
        try:
            cluster.create(document)
            display.say(
                f"{KIND} '{name}' made in namespace '{namespace}' of {cluster.host}, image {document['spec']['image']}"
            )
            ending = follower.run()
        except (KeyboardInterrupt, StuckError) as error:
            said = error.message if isinstance(error, StuckError) else "Interrupted."
            code = error.exit_code if isinstance(error, StuckError) else INTERRUPTED
            raise UserError(f"{said} {_give_up(cluster, name, namespace, keep=job.keep)}", code) from None
        if ending.code:
            raise UserError(ending.sentence, ending.code)
        out = run_arguments.out(flags) if flags else None
        if job.results and out and not flags.get("dry_run"):
            from job.cluster import results

            fetched = str(results.fetch(out, flags["run_name"], job.results))
            display.done(fetched, f"Results: {fetched}")
        elif out:
            address = f"{out.rstrip('/')}/{flags['run_name']}"
            display.done(address, f"Done. Results: {address}")


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
