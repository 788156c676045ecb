"""The process from which Spark forks its Python workers, with what they need imported once, before the first fork.

Spark starts it by `spark.python.daemon.module`. Workers forked from pyspark's own daemon import numpy, pyarrow and
OpenCV each for itself: 1-2 CPU-seconds a worker.
"""

import os

# One thread each: four workers of one thread beat four of four by 20-25 %, and busy BLAS threads cost up to 13 times.
THREAD_VARIABLES = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

os.environ.update(THREAD_VARIABLES)

if __name__ == "__main__":
    # loaded, not used: pyarrow's pools must not be started before the fork
    import numpy as np  # noqa: F401
    import pyarrow as pa  # noqa: F401
    from pyspark import daemon

    import job.stages  # noqa: F401
    from job import imaging

    imaging.single_thread()
    daemon.manager()  # type: ignore[no-untyped-call]
