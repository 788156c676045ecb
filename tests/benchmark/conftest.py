import pytest
from made_up import benchmark_of, grid

from job.benchmark.record import Benchmark


@pytest.fixture
def benchmark() -> Benchmark:
    """1, 2 and 4 executors, two sizes, three repeats that differ by 2 %."""
    return benchmark_of(grid((1, 2, 4), (1000, 4000)), lambda point: 0.96 + 0.02 * point.repeat)
