"""How many tasks Spark runs at a time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from job.cores import available_cores
from job.engine.configuration import Configuration
from job.errors import UsageError
from job.numbers import whole_number
from job.settings import Settings
from job.spark_values import master_here

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What says how many tasks run at a time.
_SIZES = (
    "spark.master",
    "spark.executor.instances",
    "spark.executor.cores",
    "spark.task.cpus",
    "spark.dynamicAllocation.enabled",
    "spark.dynamicAllocation.maxExecutors",
)


def total_cores(spark: "SparkSession") -> int:
    """Tasks that run at a time once all executors are there, from the configuration: executors register late."""
    return _cluster_cores(_sizes(spark)) or int(spark.sparkContext.defaultParallelism)


def has_fixed_executors(spark: "SparkSession") -> bool:
    """Whether tasks run in processes of their own, as many as there will be."""
    conf = _sizes(spark)
    return bool(_cluster_cores(conf)) and conf.get("spark.dynamicAllocation.enabled") != "true"


def _sizes(spark: "SparkSession") -> dict[str, str]:
    """What a session's configuration says of cores, each key asked for alone: asking for all takes longer."""
    found = {key: spark.conf.get(key, "") for key in _SIZES}
    return {key: value for key, value in found.items() if value}


def planned_cores(settings: Settings) -> int:
    """The same before there is a session; as many as this machine has where a cluster decides."""
    conf = Configuration.make(master=settings.master, conf=settings.spark_conf()).conf
    here = available_cores()
    started = master_here(conf.get("spark.master", "local[*]"), here)
    if started and not started[0]:
        return started[1]
    return _cluster_cores(conf) or here


def _cluster_cores(conf: Mapping[str, str]) -> int:
    """Cores of all executors; 0 where Spark runs in this process alone. Raises UsageError for what is no number."""

    def whole(key: str, default: int, least: int = 1) -> int:
        try:
            return whole_number(least)(conf.get(key) or str(default))
        except ValueError as error:
            raise UsageError(f"--conf {key} is '{conf[key]}': it must be {error}.") from None

    started = master_here(conf.get("spark.master", ""), here=1)
    if started:
        return started[0] * started[1]
    executors = whole("spark.executor.instances", 2, least=0)
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        executors = max(executors, min(whole("spark.dynamicAllocation.maxExecutors", executors, least=0), 1000))
    return max(1, executors * whole("spark.executor.cores", 1) // whole("spark.task.cpus", 1))
