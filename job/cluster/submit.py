"""A run on a cluster: handed to the Spark operator, followed to its end, its results fetched."""

import time
from pathlib import Path
from typing import Any

from job.cluster import arguments as run_arguments
from job.cluster import manifest
from job.cluster.manifest import KIND, MADE_BY, PLURAL
from job.errors import UsageError, UserError

# Seconds that a deleted application and its pods may take to be gone.
_GONE = 60.0
INTERRUPTED = 130


def submit(arguments: Any) -> int:
    """Submits, follows, fetches; returns the job's exit code. `arguments` are those of `fruits submit`.

    Raises UserError with one sentence when it failed.
    """
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
    return _run(document, flags, folder, arguments)


def _run(document: dict[str, Any], flags: dict[str, Any], folder: Path | None, arguments: Any) -> int:
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
