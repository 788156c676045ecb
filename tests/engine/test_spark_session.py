import os
import sys
from pathlib import Path

import pytest

from job.commands import main as cli
from job.engine import spark as spark_session
from job.errors import UserError
from job.experiment.choices import choices
from job.settings import Settings, resolve

# ---- configuration


def settings(**flags: object) -> Settings:
    return resolve(flags, {}, choices=choices())


@pytest.fixture(autouse=True)
def _not_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


def test_a_spark_setting_of_the_user_beats_the_job_s_own():
    conf = spark_session.plan(settings(conf=["spark.driver.memory=3g", "spark.mine=1"])).conf
    assert conf["spark.driver.memory"] == "3g"
    assert conf["spark.mine"] == "1"
    assert conf["spark.master"] == "local[*]"


def test_the_master_and_the_event_log_are_the_settings_own(tmp_path: Path):
    conf = spark_session.plan(settings(master="local[3]", event_log=str(tmp_path / "a b"))).conf
    assert conf["spark.master"] == "local[3]"
    assert conf["spark.eventLog.enabled"] == "true"
    assert conf["spark.eventLog.dir"] == (tmp_path / "a b").as_uri()


def test_where_spark_submit_has_chosen_the_master_it_is_left_alone(monkeypatch):
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    conf = spark_session.plan(settings()).conf
    assert not {"spark.master", "spark.driver.host", "spark.driver.memory"} & set(conf)


@pytest.mark.parametrize(
    ("master", "more", "cores"),
    [
        ("local", (), 1),
        ("local[3]", (), 3),
        ("local[3,2]", (), 3),
        ("local[*]", (), os.cpu_count()),
        ("local-cluster[2,5,1024]", (), 10),
        ("k8s://https://a", ("spark.executor.instances=4", "spark.executor.cores=3"), 12),
        ("k8s://https://a", ("spark.executor.instances=4", "spark.executor.cores=3", "spark.task.cpus=2"), 6),
        ("spark://a:7077", ("spark.dynamicAllocation.enabled=true", "spark.dynamicAllocation.maxExecutors=7"), 7),
    ],
)
def test_cores_are_known_before_executors_have_registered(master, more, cores):
    assert spark_session.planned_cores(settings(master=master, conf=list(more))) == cores


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("s3://bucket/a b", "s3a://bucket/a b"),
        ("s3a://bucket/a", "s3a://bucket/a"),
        ("/a b/c", "file:///a%20b/c"),
        ("file:///a", "file:///a"),
    ],
)
def test_addresses_are_written_as_hadoop_knows_them(address, meant):
    assert spark_session.uri(address) == meant


# ---- Java


def test_java_home_goes_before_the_path(tmp_path: Path, monkeypatch):
    for place in ("home/bin", "path"):
        java = tmp_path / place / "java"
        java.parent.mkdir(parents=True)
        java.write_text("#!/bin/sh\n", encoding="utf-8")
        java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert spark_session.find_java() == str(tmp_path / "home" / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert spark_session.find_java() == str(tmp_path / "path" / "java")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="No Java was found"):
        spark_session.find_java()


def test_a_spark_home_without_jars_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    with pytest.raises(UserError, match="SPARK_HOME") as caught:
        spark_session.Jvm(spark_session.Plan({}))
    assert str(tmp_path / "jars") in caught.value.message


# ---- the session


def test_the_session_has_the_cores_it_was_asked_for(spark):
    assert spark_session.total_cores(spark) == 2
    assert spark.sparkContext.master == "local[2]"


def test_a_command_started_from_here_does_not_take_this_jvm_for_spark_submit_s(spark):
    assert not {"PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"} & set(os.environ)
    assert not spark_session.started_by_spark_submit()


def test_workers_run_under_this_interpreter_with_one_thread_each_and_keep_their_memory(spark):
    def look(batches):
        import cv2
        import pyarrow as pa

        list(batches)
        facts = [
            sys.executable,
            os.environ.get("OMP_NUM_THREADS", ""),
            os.environ.get("OPENBLAS_NUM_THREADS", ""),
            str(cv2.getNumThreads()),
            os.environ.get("MALLOC_TRIM_THRESHOLD_", ""),
        ]
        yield pa.RecordBatch.from_arrays([pa.array(facts)], ["fact"])

    found = spark.range(0, 1, 1, numPartitions=1).mapInArrow(look, "fact string").toArrow()["fact"].to_pylist()
    assert found == [sys.executable, "1", "1", "1", str(256 << 20)]


def test_workers_started_ahead_are_those_that_queries_use(spark):
    def look(batches):
        import pyarrow as pa

        list(batches)
        yield pa.RecordBatch.from_arrays([pa.array([os.getppid()], pa.int32())], ["daemon"])

    ahead = set(spark.sparkContext.parallelize(range(2), 2).map(lambda _: os.getppid()).collect())
    later = set(spark.range(0, 2, 1, 2).mapInArrow(look, "daemon int").toArrow()["daemon"].to_pylist())
    assert ahead == later
    assert len(ahead) == 1


def test_what_a_worker_tells_the_user_reaches_the_user(spark):
    def fail(batches):
        from job.errors import UserError

        list(batches)
        raise UserError("'s3://bucket/x' can't be read: check the address.")

    with pytest.raises(Exception, match="UserError") as caught:
        spark.range(1).mapInArrow(fail, "id long").toArrow()
    kept = spark_session._with_its_text(caught.value)
    assert isinstance(kept, spark_session.SparkFailure)
    assert cli._sentence(kept) == "'s3://bucket/x' can't be read: check the address."


def test_versions_of_what_computes_are_known(spark):
    import cv2
    import numpy as np
    import pyspark

    found = spark_session.versions(spark)
    assert (found["pyspark"], found["numpy"]) == (pyspark.__version__, np.__version__)
    assert found["opencv"].startswith(cv2.__version__)
    assert found["java"].split(".")[0] in ("17", "21", "25")
