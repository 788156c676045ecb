"""`fruits benchmark`: the same run on 1, 2, 4 ... executors, repeated."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.benchmark import prices
from job.commands.options import counts, duration, memory, positive
from job.errors import UsageError, UserError
from job.experiment.choices import choices
from job.experiment.flags import add_settings
from job.settings import Settings, flag_name, resolve

if TYPE_CHECKING:
    from job.benchmark.backends import Backend
    from job.benchmark.record import Benchmark

DESCRIPTION = (
    "Runs the same on different numbers of executors, several times and in mixed order, and shows seconds, speed-up, "
    "efficiency, cost and what limits each operation, beside the prototype's figures."
)
# What a benchmark sets for each of its runs.
_OURS = ("run_name", "event_log", "master", "dry_run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fruits benchmark`, beside all settings of `fruits run`."""
    add_settings(parser)
    own = parser.add_argument_group("benchmark")
    own.add_argument(
        "--backend",
        choices=("local", "kubernetes"),
        default="local",
        help="local: executors are processes of this machine; kubernetes: one SparkApplication a run",
    )
    own.add_argument("--executors", type=counts, default=[1, 2, 4], metavar="1,2,4", help="numbers of executors")
    own.add_argument("--executor-cores", type=positive, default=1, metavar="N", help="task slots of each (1)")
    own.add_argument(
        "--executor-memory",
        type=memory,
        metavar="SIZE",
        help="heap of each executor, such as 2g (local: 1g; kubernetes: the manifest's)",
    )
    own.add_argument("--repeats", type=positive, default=3, metavar="N", help="runs of each (3), after a warm-up")
    own.add_argument(
        "--sizes",
        type=counts,
        default=[],
        metavar="N,N",
        help="numbers of pictures, three quarters of them for training, in place of --train-images and "
        "--test-images: what `fruits plan` needs",
    )
    own.add_argument(
        "--results",
        default="benchmark",
        metavar="DIR",
        help="folder of this machine for benchmark.json, .csv, .html and the runs (benchmark)",
    )
    own.add_argument("--resume", action="store_true", help="go on with the interrupted benchmark in --results")
    own.add_argument("--run-timeout", type=duration, default=3600.0, metavar="1h", help="longest time of a run (1h)")
    prices.add_arguments(own)
    there = parser.add_argument_group("kubernetes", "As for `fruits submit`.")
    there.add_argument("--manifest", metavar="FILE", help="a SparkApplication (default: the shipped one)")
    there.add_argument("--name", default="fruits-benchmark", metavar="NAME", help="its name (fruits-benchmark)")
    there.add_argument("--namespace", metavar="NS", help="namespace (default: the manifest's)")
    there.add_argument("--image", metavar="IMAGE", help="image of driver and executors")
    there.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="fields",
        help="a field of the manifest's spec, such as executor.coreLimit=500m; may be repeated",
    )


def main(arguments: argparse.Namespace) -> int:
    """Measures; 0 when all runs were made, 1 when one of them failed. Raises UserError before any run is made."""
    from job.benchmark import execute, report, schedule

    instance = prices.instance(arguments.instance, arguments.price_per_hour)
    settings = _settings(arguments)
    folder = Path(arguments.results)
    benchmark, backend = (
        _kubernetes(arguments, settings) if arguments.backend == "kubernetes" else _local(arguments, settings)
    )
    points = schedule.schedule(benchmark.executors, benchmark.cores, benchmark.sizes, benchmark.repeats, settings.seed)
    if settings.dry_run:
        for number, point in enumerate(points, start=1):
            _say(f"[{number}/{len(points)}] {point}")
        return 0
    benchmark = _resumed(benchmark, folder) if arguments.resume else _new(benchmark, folder)
    execute.execute(benchmark, points, backend, folder, arguments.run_timeout, _say)
    return report.finish(benchmark, folder, instance)


def _settings(arguments: argparse.Namespace) -> Settings:
    """The settings of each run, checked. Raises UsageError for those that a benchmark sets itself."""
    for name in _OURS[:-1]:
        if getattr(arguments, name) is not None:
            raise UsageError(f"{flag_name(name)} is not for `fruits benchmark`, which sets it for each of its runs.")
    if arguments.backend == "local" and arguments.out is not None:
        raise UsageError("--out is not for a local benchmark, which keeps its runs in --results: give that.")
    if arguments.backend == "kubernetes" and arguments.config:
        raise UsageError(
            f"--config {arguments.config} is a file of this machine, which the cluster's pods can't read: "
            "give its settings as flags."
        )
    if arguments.sizes and (arguments.train_images or arguments.test_images):
        raise UsageError("--sizes is given together with --train-images or --test-images: give one or the other.")
    return resolve(vars(arguments), choices=choices())


def _given(arguments: argparse.Namespace) -> list[str]:
    """The settings of `fruits run` that were given, as its command line."""
    from job.cluster.arguments import render

    flags = {spec.name: getattr(arguments, spec.name) for spec in fields(Settings) if spec.name not in _OURS}
    config = ["--config", arguments.config] if arguments.config else []
    return [*config, *render({name: value for name, value in flags.items() if value is not None})]


def _local(arguments: argparse.Namespace, settings: Settings) -> "tuple[Benchmark, Backend]":
    from job.benchmark.backends import Local, machine
    from job.benchmark.record import Benchmark

    given = _given(arguments)
    memory = arguments.executor_memory or 1024
    benchmark = Benchmark(
        "local",
        given,
        arguments.executors,
        arguments.executor_cores,
        arguments.sizes,
        arguments.repeats,
        settings.seed,
        settings.public(),
        float(arguments.executor_cores),
        1.0,
        f"{memory}m",
        machine(),
    )
    return benchmark, Local(Path(arguments.results).absolute(), given, memory)


def _kubernetes(arguments: argparse.Namespace, settings: Settings) -> "tuple[Benchmark, Backend]":
    from job.benchmark.backends import Kubernetes
    from job.benchmark.record import Benchmark
    from job.cluster import arguments as run_arguments
    from job.cluster import manifest, results

    given = _given(arguments)
    wanted = list(arguments.fields)
    if arguments.executor_memory:
        wanted.append(f"executor.memory={arguments.executor_memory}m")
    document = manifest.prepare(
        manifest.load(Path(arguments.manifest) if arguments.manifest else manifest.shipped()),
        manifest.Wanted(
            arguments.name,
            arguments.namespace,
            arguments.image,
            max(arguments.executors),
            arguments.executor_cores,
            tuple(wanted),
        ),
        given,
        "benchmark",
    )
    flags = run_arguments.parse(document["spec"]["arguments"])
    effective = run_arguments.settings(flags)
    if not settings.dry_run:
        results.check(effective.out, Path(arguments.results))
    submit = ["--name", arguments.name]
    for flag, value in (
        ("--manifest", arguments.manifest),
        ("--namespace", arguments.namespace),
        ("--image", arguments.image),
    ):
        submit += [flag, value] if value else []
    submit += [item for field in wanted for item in ("--set", field)]
    submit += ["--wait-timeout", f"{arguments.run_timeout:.0f}s"]
    executor, driver = document["spec"]["executor"], document["spec"]["driver"]
    benchmark = Benchmark(
        "kubernetes",
        [*submit, "--", *given],
        arguments.executors,
        arguments.executor_cores,
        arguments.sizes,
        arguments.repeats,
        settings.seed,
        effective.public(),
        _cpus(executor),
        _cpus(driver),
        str(executor.get("memory", "1g")),
    )
    return benchmark, Kubernetes(Path(arguments.results), given, submit, effective.out)


def _cpus(part: dict[str, Any]) -> float:
    """Cores that a pod asks for: coreRequest such as 500m, else its task slots."""
    text = str(part.get("coreRequest") or part.get("cores") or 1)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _new(benchmark: "Benchmark", folder: Path) -> "Benchmark":
    from job.benchmark import record

    if (folder / record.JSON).exists():
        raise UsageError(
            f"There is a benchmark in '{folder}' already: go on with it by --resume, or name another --results."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder '{folder}' can't be made ({error.strerror}): name another --results.") from None
    return benchmark


def _resumed(benchmark: "Benchmark", folder: Path) -> "Benchmark":
    from job.benchmark import record

    before = record.read(folder)
    then, now = before.made_as(), benchmark.made_as()
    for name, value in now.items():
        if then[name] != value:
            raise UsageError(
                f"--resume: the benchmark in '{folder}' was made with {name} {then[name]}, not {value}: "
                "give the same options, or name another --results."
            )
    return before


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  (the command's progress)
