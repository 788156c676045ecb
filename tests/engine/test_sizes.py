"""How many tasks Spark runs at a time."""

import pytest

from job.cores import available_cores
from job.engine.sizes import has_fixed_executors, planned_cores, total_cores
from job.errors import UsageError
from job.experiment.choices import choices
from job.settings import resolve


@pytest.mark.parametrize(
    ("master", "more", "cores"),
    [
        ("local", (), 1),
        ("local[3]", (), 3),
        ("local[3,2]", (), 3),
        ("local[*]", (), available_cores()),
        ("local-cluster[2,5,1024]", (), 10),
        ("k8s://https://a", ("spark.executor.instances=4", "spark.executor.cores=3"), 12),
        ("k8s://https://a", ("spark.executor.instances=4", "spark.executor.cores=3", "spark.task.cpus=2"), 6),
        ("spark://a:7077", ("spark.dynamicAllocation.enabled=true", "spark.dynamicAllocation.maxExecutors=7"), 7),
    ],
)
def test_cores_are_known_before_executors_have_registered(master, more, cores, monkeypatch):
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    assert planned_cores(resolve({"master": master, "conf": list(more)}, {}, choices=choices())) == cores


@pytest.mark.parametrize(
    ("pair", "least"),
    [("spark.task.cpus=0", 1), ("spark.executor.cores=many", 1), ("spark.executor.instances=-1", 0)],
)
def test_a_number_of_cores_that_can_not_be_meant_is_refused(pair, least):
    with pytest.raises(UsageError) as told:
        planned_cores(resolve({"master": "k8s://https://a", "conf": [pair]}, {}, choices=choices()))
    name, value = pair.split("=")
    assert str(told.value) == f"--conf {name} is '{value}': it must be a whole number of {least} or more."


def test_the_session_has_the_cores_it_was_asked_for(spark):
    assert total_cores(spark) == 2
    assert not has_fixed_executors(spark)
    assert spark.sparkContext.master == "local[2]"
