"""`fruits benchmark`: the same run on 1, 2, 4 ... executors, repeated."""

import argparse
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from job.commands.options import add_prices, console_of, counts, duration, memory, positive
from job.errors import UsageError, UserError
from job.experiment.choices import choices
from job.experiment.flags import add_settings, add_telling, telling_of
from job.given import flag_name
from job.parser import Parser
from job.settings import Settings, resolve

if TYPE_CHECKING:
    from job.benchmark.execute import Attempt
    from job.benchmark.prices import Instance
    from job.benchmark.record import Benchmark
    from job.benchmark.summary import Size
    from job.report.console import Console

DESCRIPTION = (
    "Runs the same on different numbers of executors, several times and in mixed order, and shows seconds, speed-up, "
    "efficiency, cost and what limits each operation, beside the prototype's figures."
)
EXAMPLES = ("fruits benchmark --executors 1,2,4 --repeats 3 --data pictures",)
# What a benchmark sets for each of its runs.
_OURS = ("run_name", "event_log", "master", "dry_run")


def add_arguments(parser: Parser) -> None:
    """The options of `fruits benchmark`, beside all settings of `fruits run`."""
    add_settings(parser, usual=("data", "preset", "words", "train_images", "test_images", "dry_run", "debug"))
    add_telling(parser)
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
    add_prices(own)
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
    parser.hide("--executor-memory", "--run-timeout", "--instance", "--price-per-hour", "--manifest", "--name")


def main(arguments: argparse.Namespace) -> int:
    """Makes the runs and shows what they say together; 0 when all of them ended well.

    Raises UserError before the first run for options that can't be meant, and at the end when a run has failed.
    """
    from job.benchmark import execute, prepare, prices, schedule

    instance = prices.instance(arguments.instance, arguments.price_per_hour)
    settings = _settings(arguments)
    folder = Path(arguments.results)
    wanted = prepare.Wanted(
        arguments.executors,
        arguments.executor_cores,
        arguments.executor_memory,
        arguments.sizes,
        arguments.repeats,
        folder,
        arguments.run_timeout,
        _given(arguments),
        settings,
    )
    if arguments.backend == "kubernetes":
        there = prepare.OnCluster(
            arguments.manifest, arguments.name, arguments.namespace, arguments.image, arguments.fields
        )
        benchmark, launcher = prepare.on_kubernetes(wanted, there)
    else:
        benchmark, launcher = prepare.local(wanted)
    points = schedule.schedule(benchmark.executors, benchmark.cores, benchmark.sizes, benchmark.repeats, settings.seed)
    told = Told(console_of(arguments), **telling_of(arguments, os.environ))
    if settings.dry_run:
        for number, point in enumerate(points, start=1):
            told.attempt(execute.Attempt(number, len(points), point))
        return 0
    benchmark = prepare.resume(benchmark, folder) if arguments.resume else prepare.begin(benchmark, folder)
    execute.execute(benchmark, points, launcher, folder, arguments.run_timeout, told.attempt)
    finish(benchmark, folder, instance, told)
    return 0


class Told:
    """What the command tells: sentences and tables, or events as JSON objects through the console."""

    def __init__(self, console: "Console", *, quiet: bool, verbose: bool, json: bool) -> None:
        self._console, self._quiet, self._verbose, self._json = console, quiet, verbose, json

    def attempt(self, attempt: "Attempt") -> None:
        """A run that was made, has failed, or is to be made."""
        if self._json:
            self._console.event("run", attempt.facts())
            if attempt.trouble:
                self._console.warning(f"{attempt.point}: {attempt.trouble}")
        elif attempt.trouble or not self._quiet:
            _say(str(attempt))
        if self._verbose and attempt.run is not None:
            for (operation, split), seconds in attempt.run.seconds.items():
                if self._json:
                    facts = {"run_name": attempt.run.name, "operation": operation, "split": split, "seconds": seconds}
                    self._console.event("timing", facts)
                else:
                    _say(f"    {operation} {split}: {seconds:.2f} s")

    def size(self, size: "Size", benchmark: "Benchmark", instance: "Instance", same: str) -> None:
        """What all runs with so many pictures say together."""
        from job.benchmark import tables

        if not self._json:
            if not self._quiet:
                tables.show(size, benchmark, instance, same, verbose=self._verbose)
            return
        self._console.event("size", {"pictures": size.pictures, "images": size.images, "results": same})
        for facts in tables.facts(size):
            self._console.event("operation", facts)

    def done(self, folder: Path, *names: str) -> None:
        """The end: where the results are."""
        if self._json:
            self._console.done(str(folder), None, None)
        else:
            _say(f"Results: {folder / names[0]}, {', '.join(names[1:])}")


def finish(benchmark: "Benchmark", folder: Path, instance: "Instance", told: Told) -> None:
    """Tells the figures and writes the page. Raises UserError where no run was made, or one has failed."""
    from job import storage
    from job.benchmark import page, record, summary, tables

    failures = benchmark.failures
    if not benchmark.measured():
        reason = failures[0].sentence if failures else "there was none to make"
        raise UserError(f"No run of the benchmark ended well: {reason}")
    found = summary.sizes(benchmark, instance)
    for size in found:
        told.size(size, benchmark, instance, tables.sameness(size, folder / "runs"))
    record.write(benchmark, folder)
    storage.write_bytes(str(folder / page.HTML), page.page(benchmark, found, folder, instance).encode())
    told.done(folder, record.JSON, record.CSV, page.HTML)
    if failures:
        raise UserError(
            f"{len(failures)} of the runs failed, the first ({failures[0].point}): "
            f"{failures[0].sentence.rstrip('.')}; --resume makes them again."
        )


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
    from job.cluster.run_arguments import render

    flags = {spec.name: getattr(arguments, spec.name) for spec in fields(Settings) if spec.name not in _OURS}
    config = ["--config", arguments.config] if arguments.config else []
    return [*config, *render({name: value for name, value in flags.items() if value is not None})]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  (the command's progress)
