"""The process from which Spark forks its Python workers, with what they need imported once, before the first fork.

Spark starts it by `spark.python.daemon.module`. Workers forked from pyspark's own daemon import numpy, pyarrow and
OpenCV each for itself: 1-2 CPU-seconds a worker.
"""

import gc
import os
import sys
from importlib.machinery import PathFinder

from job.engine.worker_environment import THREAD_VARIABLES


class _NoPandas:
    """Lets nobody import pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _keep_pandas_away() -> None:
    """Have pyarrow find no pandas when it first looks, which it does for every list that it is given: importing it
    takes each worker 0.25 s. Who converts to pandas has pyarrow look again."""
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    pa.array([0])
    sys.meta_path.remove(_NoPandas)


def _leave_archives() -> None:
    """Take pyspark from the environment's folder, and not from the archives that Spark puts before it: it is compiled
    there. And at the start of every task pyspark has the directories of all archives read again: 0.2 s each time."""
    archives = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path.endswith((".zip", ".jar"))]
    others = [path for path in sys.path if path not in archives]
    if PathFinder.find_spec("pyspark", others) and PathFinder.find_spec("py4j", others):
        sys.path[:] = others
        for path in archives:
            sys.path_importer_cache.pop(path, None)


if __name__ == "__main__":
    os.environ.update(THREAD_VARIABLES)
    _leave_archives()
    _keep_pandas_away()

    from pyspark import daemon

    # loaded here, used after the fork; none of them imports pyspark.ml, which would bring pandas and scipy: 0.5 s
    import job.columns
    import job.learn.classifiers.networks
    import job.learn.encodings.counts
    import job.learn.kmeans
    import job.learn.pca
    import job.stages.extraction
    import job.vision.descriptors.sift  # noqa: F401
    from job import vision

    vision.single_thread()
    # pyspark collects garbage after every task: what is here now is none, and looking through it takes 0.1 s
    gc.freeze()
    daemon.manager()  # type: ignore[no-untyped-call]
