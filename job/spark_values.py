"""Values that Spark itself reads: its masters, and amounts of memory in its settings."""

import re
from collections.abc import Mapping

# What Spark 4 takes, with at least one core; `local-cluster` starts executors on this machine.
_MASTER = re.compile(
    r"local|local\[(0*[1-9]\d*|\*)(\s*,\s*\d+)?\]|local-cluster\[(\s*0*[1-9]\d*\s*,){2}\s*\d+\s*\]"
    r"|spark://\S+|k8s://\S+|yarn"
)
_MEMORY = re.compile(
    r"spark\.(?:(?:driver|executor)\.(?:memory|memoryOverhead|minMemoryOverhead)|executor\.pyspark\.memory"
    r"|memory\.offHeap\.size|driver\.maxResultSize|yarn\.am\.(?:memory|memoryOverhead))"
)
_AMOUNT = re.compile(r"\d+(?:b|[kmgtp]b?)?", re.IGNORECASE)
# Java is given the driver's memory as it stands, and knows these units alone; without one it would be bytes.
_OF_JAVA = re.compile(r"\d+[kmgt]", re.IGNORECASE)


def spark_master(text: str) -> str:
    """A master that Spark knows. ValueError, which says what it may be, for anything else."""
    if not _MASTER.fullmatch(text):
        raise ValueError(
            "local, local[4], local[*], local-cluster[2,1,1024], spark://HOST:PORT, k8s://https://HOST:PORT or yarn"
        )
    return text


def check_spark_value(key: str, value: str) -> None:
    """Raises ValueError, which says what it may be, where the value of a Spark setting is no master or no memory."""
    if key == "spark.master":
        spark_master(value)
    elif key == "spark.driver.memory" and not _OF_JAVA.fullmatch(value):
        raise ValueError("an amount of memory such as 512m or 2g: a whole number with k, m, g or t behind it")
    elif _MEMORY.fullmatch(key) and not _AMOUNT.fullmatch(value):
        raise ValueError("an amount of memory such as 512m or 2g: a whole number and its unit")


def master_here(master: str, here: int) -> tuple[int, int] | None:
    """What a master on this machine of `here` cores starts: how many executors, 0 where tasks run in the driver itself,
    and the cores of each, or of the driver. None for the master of a cluster."""
    local = re.fullmatch(r"local(?:\[(\d+|\*).*\])?", master)
    if local:
        return 0, {None: 1, "*": here}.get(local[1]) or int(local[1])
    cluster = re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master)
    return (int(cluster[1]), int(cluster[2])) if cluster else None


def cores_of_an_executor(conf: Mapping[str, str], here: int) -> int | None:
    """Cores of the process that runs a task, from Spark's configuration on a machine of `here` cores; None where that
    is for the cluster to say, and where the configuration can't be read."""
    master = conf.get("spark.master", "")
    started = master_here(master, here)
    if started:
        return started[1]
    given = conf.get("spark.executor.cores", "1" if master.startswith("k8s://") else "")
    return int(given) if re.fullmatch(r"[0-9]+", given) else None
