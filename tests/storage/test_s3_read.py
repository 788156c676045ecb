from job.storage.s3_read import _Budget


def test_the_object_that_is_waited_for_gets_through_a_full_budget():
    budget = _Budget(10)
    budget.take(0, 10)
    budget.wait_for(1)
    budget.take(1, 10)  # would wait for ever
    budget.give_back(20)
    budget.take(5, 10)
