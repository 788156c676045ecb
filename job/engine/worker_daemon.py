"""The process from which Spark forks its Python workers, with what they need imported once, before the first fork.

Spark starts it by `spark.python.daemon.module`. Workers forked from pyspark's own daemon import numpy, pyarrow and
OpenCV each for itself (tests/benchmarks/engine.py: extraction).
"""

import gc
import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from job.engine.worker_environment import THREAD_VARIABLES

# Archives that Spark puts on the workers' path: pyspark and py4j as they come with Spark, and Spark's own jar.
_SPARKS = re.compile(r"pyspark\.zip|py4j-[^/]*\.zip|spark-core_[^/]*\.jar")


def leave_archives(path: list[str]) -> list[str]:
    """The path without Spark's archives, if pyspark and py4j are installed elsewhere on it; else the path.

    At the start of every task pyspark has the directories of all archives on the path read again
    (tests/benchmarks/engine.py: whole).
    """
    others = [place for place in path if not _SPARKS.fullmatch(Path(place).name)]
    return others if PathFinder.find_spec("pyspark", others) and PathFinder.find_spec("py4j", others) else path


if __name__ == "__main__":
    os.environ.update(THREAD_VARIABLES)
    for place in set(sys.path) - set(leave_archives(sys.path)):
        sys.path.remove(place)
        sys.path_importer_cache.pop(place, None)

    from pyspark import daemon

    # loaded here, used after the fork; none of them imports pyspark.ml, which would bring scipy
    import job.columns
    import job.extraction
    import job.learn.classifiers.networks
    import job.learn.encodings.counts
    import job.learn.kmeans
    import job.learn.pca
    import job.vision.descriptors.sift  # noqa: F401
    from job import vision

    vision.single_thread()
    # pyspark collects garbage after every task: what is here now is none, and need not be looked through
    gc.freeze()
    daemon.manager()  # type: ignore[no-untyped-call]
