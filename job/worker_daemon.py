"""The process from which Spark forks its Python workers, with what they need imported once, before the first fork.

Spark starts it by `spark.python.daemon.module`. Workers forked from pyspark's own daemon import numpy, pyarrow and
OpenCV each for itself: 1-2 CPU-seconds a worker.
"""

import ctypes
import os

# One thread each: four workers of one thread beat four of four by 20-25 %, and busy BLAS threads cost up to 13 times.
THREAD_VARIABLES = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

os.environ.update(THREAD_VARIABLES)


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed: it hands memory back after every picture otherwise, 450 page faults and 1 ms of
    system time each, against 1.6 ms of SIFT."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3
        mallopt(trim_threshold, 256 << 20)
        mallopt(mmap_threshold, 32 << 20)
        mallopt(top_pad, 16 << 20)


if __name__ == "__main__":
    from pyspark import daemon

    # loaded here, used after the fork; none of them imports pyspark.ml, which would bring pandas and scipy: 0.5 s
    import job.classify.network
    import job.columns
    import job.extraction
    import job.words.kmeans
    import job.words.pca
    import job.words.sampling  # noqa: F401
    from job import imaging

    imaging.single_thread()
    _keep_freed_memory()
    daemon.manager()  # type: ignore[no-untyped-call]
