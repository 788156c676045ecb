"""Threads of our own, and how many BLAS has meanwhile."""

import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from job.threads import Threads


def blas() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()]


def test_work_comes_back_in_the_order_of_its_parts():
    with Threads(3) as pool:
        assert list(pool.map(lambda part: part * 2, [3, 1, 2])) == [6, 2, 4]


def test_blas_has_one_thread_meanwhile_and_its_own_again_afterwards():
    before = blas()
    with Threads(2):
        assert set(blas()) == {1}
    assert blas() == before


def test_contexts_that_overlap_give_blas_its_threads_back():
    before = blas()
    first, second = Threads(2), Threads(2)
    first.__enter__()
    second.__enter__()
    first.__exit__()
    assert set(blas()) == {1}
    second.__exit__()
    assert blas() == before


def test_a_decomposition_may_have_several_threads_of_blas():
    with Threads.of_blas(1):
        assert set(blas()) == {1}


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_a_decomposition_that_overlaps_with_other_work_gives_blas_its_threads_back(first_ends_first):
    before = blas()
    first, second = Threads.of_blas(3), Threads(2)
    first.__enter__()
    assert set(blas()) == {3}
    second.__enter__()
    assert set(blas()) == {1}
    ends = [lambda: first.__exit__(None, None, None), second.__exit__]
    for end in ends if first_ends_first else ends[::-1]:
        end()
    assert blas() == before


def test_a_library_that_was_loaded_later_is_limited_too():
    program = """
import numpy as np
from threadpoolctl import ThreadpoolController
from job.threads import Threads
with Threads(2):
    pass
import scipy.linalg
with Threads.of_blas(1):
    pools = ThreadpoolController().select(user_api="blas").info()
assert len(pools) == 2, pools
assert {pool["num_threads"] for pool in pools} == {1}, pools
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
