"""`fruits plan`: executors, cores, memory, partitions, time and cost of a run with N pictures, from a benchmark."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from job.commands.options import add_debug, add_prices, dollars, duration, positive
from job.errors import UsageError
from job.experiment.flags import add_telling, telling_of

DESCRIPTION = "Fits a scaling law to the measurements of `fruits benchmark`, and says what a run with N pictures takes."
EXAMPLES = ("fruits plan --images 1000000 --deadline 10m",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fruits plan`."""
    parser.add_argument(
        "benchmark",
        nargs="?",
        default="benchmark",
        metavar="BENCHMARK",
        help="folder or benchmark.json that `fruits benchmark` made (benchmark)",
    )
    parser.add_argument("--images", type=positive, required=True, metavar="N", help="pictures in all, up to a billion")
    parser.add_argument("--deadline", type=duration, metavar="10m", help="longest time the run may take")
    parser.add_argument("--budget", type=dollars, metavar="USD", help="most dollars the run may cost")
    parser.add_argument(
        "--executors", type=positive, metavar="N", help="exactly N executors (default: the plan chooses)"
    )
    parser.add_argument("--max-executors", type=positive, default=1000, metavar="N", help="most executors (1000)")
    add_prices(parser)
    parser.add_argument("--values", metavar="FILE", help="write the values for the chart here (`helm install -f FILE`)")
    add_telling(parser, ("json",))
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Prints a plan. Raises UserError when no cluster keeps deadline and budget, or the benchmark tells too little."""
    from job import storage
    from job.benchmark import law, plan, prices, record

    if arguments.images > plan.MOST_PICTURES:
        raise UsageError(f"--images is {arguments.images}: a plan reaches up to {plan.MOST_PICTURES} pictures.")
    instance = prices.instance(arguments.instance, arguments.price_per_hour)
    benchmark = record.read(Path(arguments.benchmark))
    plan.check(benchmark, arguments.images)
    fitted = law.fit(benchmark)
    chosen = plan.choose(
        fitted,
        benchmark,
        instance,
        arguments.images,
        deadline=arguments.deadline,
        budget=arguments.budget,
        executors=arguments.executors,
        most=arguments.max_executors,
    )
    if arguments.values:
        storage.write_bytes(arguments.values, plan.values_text(chosen).encode())
    if telling_of(arguments, os.environ)["json"]:
        print(json.dumps({**asdict(chosen), "values": plan.values(chosen)}))  # noqa: T201  (the command's answer)
        return 0
    lines = plan.lines(chosen, fitted, benchmark, instance)
    if arguments.values:
        lines.append(f"Values: {arguments.values}")
    else:
        lines += [
            "",
            "Values for the chart (--values FILE writes them):",
            "",
            plan.values_text(chosen).rstrip("\n"),
        ]
    print("\n".join(lines))  # noqa: T201  (the command's answer)
    return 0
