"""Threads of our own, and how many BLAS has meanwhile."""

import numpy as np
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
