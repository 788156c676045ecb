"""Environment variables of the processes that compute: Python workers, and the JVMs that feed them."""

# One thread each: Spark runs as many tasks at a time as there are cores, and BLAS threads that wait for work keep cores
# from them (tests/benchmarks/engine.py measures the scaling of extraction).
THREAD_VARIABLES = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# glibc would hand freed memory back to the system after every picture, and after every batch of descriptors in the JVM,
# and ask for it again (tests/benchmarks/engine.py measures extraction). Other C libraries ignore these variables.
MEMORY_VARIABLES = {
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}

PROCESS_VARIABLES = {**THREAD_VARIABLES, **MEMORY_VARIABLES}
