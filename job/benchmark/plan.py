"""Executors, cores, memory, partitions, time and cost of a run with N pictures, from a benchmark."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from job.errors import UserError
from job.report import text

if TYPE_CHECKING:
    from job.benchmark.law import Law
    from job.benchmark.prices import Instance
    from job.benchmark.record import Benchmark

MOST_PICTURES = 1_000_000_000
# Another executor is worth it as long as the whole run keeps this share of the efficiency of the fewest.
_WORTH = 0.7
_MB = 1 << 20
# Bytes that a picture takes in the driver: its row in the listing, several times (names, order, shards), in Python;
# and the same on its way into the JVM.
_LISTING_BYTES, _JVM_BYTES = 500, 250
# A classifier that is trained on the whole matrix has it in the driver as float64: in Python as it came, centred, and
# scaled; in the JVM once, on its way to Python.
_MATRIX_COPIES, _JVM_MATRIX_COPIES = 3, 1
# Spark caches descriptors in 60 % of a heap less 300 MB; a heap of a gigabyte is the least that works well.
_CACHE_SHARE, _RESERVED, _LEAST_HEAP = 0.6, 300, 1024
_STEP = 128  # MB
_WORKER = 384  # MB of a Python worker with OpenCV and a batch of pictures


@dataclass(frozen=True)
class ClusterPlan:
    """A cluster for so many pictures: seconds with their interval, dollars for whole machines, memory in MB."""

    pictures: int
    executors: int
    cores: int
    cpus: float
    partitions: int
    seconds: float
    low: float
    high: float
    machines: int
    cost: float
    heap: int
    overhead: int
    driver_heap: int
    driver_overhead: int
    spills: bool


def check(benchmark: "Benchmark", pictures: int) -> None:
    """Raises UserError when the benchmark can't tell anything of so many pictures."""
    from job.benchmark.law import measured_sizes

    known = measured_sizes(benchmark)
    if not known:
        raise UserError("The benchmark has no run that ended well: see why by `fruits benchmark --resume`.")
    if len(known) == 1 and pictures != known[0]:
        raise UserError(
            f"The benchmark has runs with {known[0]:,} pictures only, so that what {pictures:,} take can't "
            "be told: measure several numbers with `fruits benchmark --sizes 1000,4000`."
        )


def choose(
    law: "Law",
    benchmark: "Benchmark",
    instance: "Instance",
    pictures: int,
    *,
    deadline: float | None = None,
    budget: float | None = None,
    executors: int | None = None,
    most: int = 1000,
) -> ClusterPlan:
    """The cheapest plan that keeps the deadline, by the upper end of its interval; without a deadline the quickest
    within the budget; without either as many executors as are worth it. Raises UserError where there is none."""
    plans = [make(law, benchmark, instance, pictures, count) for count in ([executors] if executors else _counts(most))]
    kept = [
        plan
        for plan in plans
        if (deadline is None or plan.high <= deadline) and (budget is None or plan.cost <= budget)
    ]
    if not kept:
        fastest, cheapest = min(plans, key=lambda plan: plan.high), min(plans, key=lambda plan: plan.cost)
        limits = [
            f"within {text.seconds(deadline)}" if deadline is not None else "",
            f"for ${budget:g}" if budget is not None else "",
        ]
        raise UserError(
            f"{pictures:,} pictures can't be done {' and '.join(filter(None, limits))} with "
            f"{plans[-1].executors} executors or fewer: the quickest is {fastest.executors} executors, up "
            f"to {text.seconds(fastest.high)}, {_dollars(fastest.cost)}; the cheapest "
            f"{cheapest.executors}, up to {text.seconds(cheapest.high)}, {_dollars(cheapest.cost)}."
        )
    if deadline is not None:
        return min(kept, key=lambda plan: (plan.cost, plan.executors))
    if budget is not None:
        return min(kept, key=lambda plan: (plan.seconds, plan.executors))
    one = plans[0]
    worth = [plan for plan in kept if one.seconds * one.executors / (plan.seconds * plan.executors) >= _WORTH]
    return worth[-1]


def _counts(most: int) -> list[int]:
    """All numbers up to 64, then by steps of 5 %."""
    found = list(range(1, min(most, 64) + 1))
    while found[-1] < most:
        found.append(min(most, math.ceil(found[-1] * 1.05)))
    return found


def make(law: "Law", benchmark: "Benchmark", instance: "Instance", pictures: int, executors: int) -> ClusterPlan:
    """What a run with so many pictures takes on so many executors."""
    from job import dataset
    from job.benchmark.summary import used_cores

    runs, cores = benchmark.measured(), executors * benchmark.cores
    middle, low, high = law.total(pictures, cores)
    train = round(pictures * law.train_share)
    size = sum(run.bytes["train"] for run in runs) / sum(run.images["train"] for run in runs)
    packed = _descriptor_bytes(benchmark) * pictures / _MB
    heap = _rounded(max(_LEAST_HEAP, packed / executors / _CACHE_SHARE + _RESERVED))
    overhead = 384 + _WORKER * benchmark.cores
    matrix = _matrix_bytes(benchmark, train) / _MB
    driver = (
        _rounded(max(1024, 768 + pictures * _JVM_BYTES / _MB + _JVM_MATRIX_COPIES * matrix)),
        _rounded(max(512, 384 + pictures * _LISTING_BYTES / _MB + _MATRIX_COPIES * matrix)),
    )
    # the memory of a machine that its share of cores has: what does not fit is kept on disk
    fair = int(instance.memory * 1024 * 0.9 * min(1.0, benchmark.cpus / instance.cores)) - overhead
    kept = min(heap, max(fair // _STEP * _STEP, _LEAST_HEAP))
    machines = math.ceil(
        max(
            used_cores(benchmark, executors) / instance.cores,
            (executors * (kept + overhead) + sum(driver)) / (instance.memory * 1024 * 0.9),
        )
    )
    partitions = dataset.partitions(train, int(size * train), cores)
    return ClusterPlan(
        pictures,
        executors,
        benchmark.cores,
        benchmark.cpus,
        partitions,
        middle,
        low,
        high,
        machines,
        instance.cost(machines * instance.cores, middle),
        kept,
        overhead,
        *driver,
        spills=kept < heap,
    )


def _descriptor_bytes(benchmark: "Benchmark") -> float:
    """Bytes of a picture's descriptors, in the mean of all runs."""
    runs = benchmark.measured()
    found = sum(sum(run.descriptor_bytes.values()) for run in runs) / sum(run.pictures for run in runs)
    if found:
        return found
    from job.vision.descriptors import DESCRIPTORS

    # a benchmark made before bytes were noted
    bytes_each = DESCRIPTORS.get(benchmark.settings["descriptor"]).bytes
    return bytes_each * sum(sum(run.descriptors.values()) for run in runs) / sum(run.pictures for run in runs)


def _matrix_bytes(benchmark: "Benchmark", pictures: int) -> float:
    """Bytes of the training features, float64, that come to the driver; 0 where sums of them are enough."""
    from job.learn.classifiers import CLASSIFIERS

    settings = benchmark.settings
    if settings.get("no_classify") or CLASSIFIERS.get(settings.get("classifier") or "mlp").from_moments is not None:
        return 0.0
    width = max((run.width for run in benchmark.measured()), default=0) or int(settings.get("components") or 0)
    return 8.0 * pictures * width


def values(plan: ClusterPlan) -> dict[str, Any]:
    """The plan in the form of the chart's values."""
    return {
        "driver": {"memory": _amount(plan.driver_heap), "memoryOverhead": _amount(plan.driver_overhead)},
        "executor": {
            "instances": plan.executors,
            "cores": plan.cores,
            "coreRequest": f"{plan.cpus * 1000:.0f}m",
            "memory": _amount(plan.heap),
            "memoryOverhead": _amount(plan.overhead),
        },
    }


def values_text(plan: ClusterPlan) -> str:
    """The same as YAML."""
    import yaml

    return f"# {_sentence(plan)}\n{yaml.safe_dump(values(plan), sort_keys=True)}"


def _rounded(megabytes: float) -> int:
    return math.ceil(megabytes / _STEP) * _STEP


def _dollars(cost: float) -> str:
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.4f}"


def _amount(megabytes: int) -> str:
    return f"{megabytes // 1024}g" if megabytes % 1024 == 0 else f"{megabytes}m"


def _sentence(plan: ClusterPlan) -> str:
    return (
        f"{plan.pictures:,} pictures on {plan.executors} executors of {plan.cores} core"
        f"{'s' if plan.cores > 1 else ''}: {text.seconds(plan.seconds)}, 90 % interval {text.seconds(plan.low)} to "
        f"{text.seconds(plan.high)}"
    )


def lines(plan: ClusterPlan, law: "Law", benchmark: "Benchmark", instance: "Instance") -> list[str]:
    """What the plan says, line by line."""
    from job.benchmark.law import measured_sizes

    largest, most = measured_sizes(benchmark)[-1], max(run.point.executors for run in benchmark.measured())
    longest = sorted(law.seconds(plan.pictures, plan.executors * plan.cores).items(), key=lambda item: -item[1])[:5]
    memory = [_amount(size) for size in (plan.heap, plan.overhead, plan.driver_heap, plan.driver_overhead)]
    lines = [
        f"{_sentence(plan)}.",
        f"Cost: {_dollars(plan.cost)} for {plan.machines} x {instance.name} at ${instance.price:g} an hour.",
        f"Partitions: {plan.partitions:,} (chosen by the run itself).",
        "Memory: executor {} + {}, driver {} + {}.".format(*memory),
        "Longest: " + ", ".join(f"{' '.join(key)} {text.seconds(value)}" for key, value in longest) + ".",
        (
            "Fit: seconds = a + b n + c n/cores for each operation; of the totals of the "
            f"{len(benchmark.measured())} runs the median error is {law.error:.1%}, the largest {law.worst:.1%}."
        ),
    ]
    if plan.pictures > largest or plan.executors > most:
        lines.append(f"Beyond what was measured (up to {largest:,} pictures, {most} executors): an extrapolation.")
    if plan.spills:
        lines.append("The descriptors do not all fit into the executors' memory: Spark keeps the rest on their disks.")
    if plan.driver_heap + plan.driver_overhead > instance.memory * 1024:
        lines.append(
            f"The driver, which lists every picture, does not fit on {instance.name}: put it on a larger machine."
        )
    return lines
