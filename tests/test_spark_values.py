"""Values that Spark itself reads."""

import pytest

from job.spark_values import check_spark_value, cores_of_an_executor, spark_master


def test_a_master_is_one_that_spark_knows():
    assert spark_master("local[*, 2]") == "local[*, 2]"
    with pytest.raises(ValueError, match=r"local\[4\]"):
        spark_master("local[x]")


@pytest.mark.parametrize(("key", "value"), [("spark.executor.memory", "1,5g"), ("spark.driver.memory", "1024")])
def test_an_amount_of_memory_that_can_not_be_read_is_refused(key: str, value: str):
    with pytest.raises(ValueError, match="an amount of memory such as 512m or 2g"):
        check_spark_value(key, value)


def test_other_settings_are_left_to_spark():
    check_spark_value("spark.memory.fraction", "abc")
    check_spark_value("spark.mine", "")


@pytest.mark.parametrize(
    ("conf", "cores"),
    [
        ({"spark.master": "local"}, 1),
        ({"spark.master": "local[3,2]"}, 3),
        ({"spark.master": "local[*]"}, 5),
        ({"spark.master": "local-cluster[4, 2 ,1024]"}, 2),
        ({"spark.master": "k8s://a"}, 1),
        ({"spark.master": "k8s://a", "spark.executor.cores": "4"}, 4),
        ({"spark.master": "spark://a:1", "spark.executor.cores": "many"}, None),
        ({"spark.master": "spark://a:1"}, None),
        ({}, None),
    ],
)
def test_the_cores_of_an_executor_are_known_where_spark_s_configuration_says_them(conf, cores):
    assert cores_of_an_executor(conf, 5) == cores
