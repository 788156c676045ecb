"""Makes a benchmark ready: what its runs are, how each of them is started, and the folder that keeps the results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.benchmark import record
from job.benchmark.launchers import KubernetesLauncher, Launcher, LocalLauncher, machine
from job.benchmark.record import Benchmark
from job.errors import UsageError, UserError
from job.secrets import hide_secret
from job.settings import Settings

# MB of an executor's heap on this machine, unless another is asked for.
_LOCAL_MEMORY = 1024


@dataclass(frozen=True)
class Wanted:
    """What the command line says of a benchmark.

    Attributes
    ----------
    executors, executor_cores, sizes, repeats
        Numbers of executors; task slots of each; numbers of pictures (none: as the settings say); runs of each.
    executor_memory
        MB of an executor's heap; None takes the backend's own.
    folder
        Where everything that is found is kept.
    run_timeout
        Seconds after which a run is given up.
    given
        The settings of `fruits run`, as its command line.
    settings
        The same, resolved.

    """

    executors: Sequence[int]
    executor_cores: int
    executor_memory: int | None
    sizes: Sequence[int]
    repeats: int
    folder: Path
    run_timeout: float
    given: Sequence[str]
    settings: Settings


@dataclass(frozen=True)
class OnCluster:
    """The options of `fruits submit` that a benchmark on Kubernetes takes too; None leaves what the manifest says."""

    manifest: str | None
    name: str
    namespace: str | None
    image: str | None
    fields: Sequence[str]


def local(wanted: Wanted) -> tuple[Benchmark, Launcher]:
    """A benchmark whose executors are processes of this machine."""
    from job.cluster import run_arguments

    memory = wanted.executor_memory or _LOCAL_MEMORY
    benchmark = Benchmark(
        backend="local",
        arguments=[hide_secret(item) for item in wanted.given],
        executors=list(wanted.executors),
        cores=wanted.executor_cores,
        sizes=list(wanted.sizes),
        repeats=wanted.repeats,
        seed=wanted.settings.seed,
        settings=wanted.settings.public(),
        cpus=float(wanted.executor_cores),
        driver_cpus=1.0,
        memory=f"{memory}m",
        machine=machine(),
    )
    flags = run_arguments.without_conf(wanted.given)
    return benchmark, LocalLauncher(wanted.folder.absolute(), flags, wanted.settings.conf, memory)


def on_kubernetes(wanted: Wanted, there: OnCluster) -> tuple[Benchmark, Launcher]:
    """A benchmark each of whose runs is a SparkApplication. Raises UserError when one could not be made."""
    from job.cluster import application, results, run_arguments

    fields = list(there.fields)
    if wanted.executor_memory:
        fields.append(f"executor.memory={wanted.executor_memory}m")
    document = application.prepare(
        application.load(Path(there.manifest) if there.manifest else application.shipped()),
        application.Wanted(
            there.name,
            there.namespace,
            there.image,
            max(wanted.executors),
            wanted.executor_cores,
            tuple(fields),
        ),
        wanted.given,
        "benchmark",
    )
    effective = run_arguments.settings(run_arguments.parse(document["spec"]["arguments"]))
    if not wanted.settings.dry_run:
        results.check(effective.out, wanted.folder)
    submit = _submit_options(there, fields, wanted.run_timeout)
    executor, driver = document["spec"]["executor"], document["spec"]["driver"]
    benchmark = Benchmark(
        backend="kubernetes",
        arguments=[hide_secret(item) for item in (*submit, "--", *wanted.given)],
        executors=list(wanted.executors),
        cores=wanted.executor_cores,
        sizes=list(wanted.sizes),
        repeats=wanted.repeats,
        seed=wanted.settings.seed,
        settings=effective.public(),
        cpus=_cpus(executor),
        driver_cpus=_cpus(driver),
        memory=str(executor.get("memory", "1g")),
    )
    return benchmark, KubernetesLauncher(wanted.folder, wanted.given, submit, effective.out)


def begin(benchmark: Benchmark, folder: Path) -> Benchmark:
    """Makes the folder of a new benchmark. Raises UsageError when it has one already."""
    if (folder / record.JSON).exists():
        raise UsageError(
            f"There is a benchmark in '{folder}' already: go on with it by --resume, or name another --results."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder '{folder}' can't be made ({error.strerror}): name another --results.") from None
    return benchmark


def resume(benchmark: Benchmark, folder: Path) -> Benchmark:
    """The benchmark that the folder has, to go on with. Raises UsageError when it was made in another way."""
    before = record.read(folder)
    then, now = before.made_as(), benchmark.made_as()
    for name, value in now.items():
        if then[name] != value:
            raise UsageError(
                f"--resume: the benchmark in '{folder}' was made with {name} {then[name]}, not {value}: "
                "give the same options, or name another --results."
            )
    return before


def _submit_options(there: OnCluster, fields: Sequence[str], timeout: float) -> list[str]:
    """The command line of `fruits submit` that is the same for all runs."""
    line = ["--name", there.name]
    for flag, value in (("--manifest", there.manifest), ("--namespace", there.namespace), ("--image", there.image)):
        line += [flag, value] if value else []
    line += [item for field in fields for item in ("--set", field)]
    return [*line, "--wait-timeout", f"{timeout:.0f}s"]


def _cpus(part: dict[str, Any]) -> float:
    """Cores that a pod asks for: coreRequest such as 500m, else its task slots."""
    text = str(part.get("coreRequest") or part.get("cores") or 1)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
