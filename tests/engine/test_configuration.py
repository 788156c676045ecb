"""Spark's configuration for a run."""

import os
import tempfile
from pathlib import Path

import pytest

from job.engine.configuration import Configuration
from job.errors import UsageError
from job.experiment.choices import choices
from job.settings import Settings, resolve

SHORT_LIVED = {"spark.sql.codegen.wholeStage", "spark.sql.codegen.factoryMode"}


def settings(**flags: object) -> Settings:
    return resolve(flags, {}, choices=choices())


@pytest.fixture(autouse=True)
def _not_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


def test_a_spark_setting_of_the_user_beats_the_job_s_own():
    conf = Configuration.of(settings(conf=["spark.driver.memory=3g", "spark.mine=1"])).conf
    assert conf["spark.driver.memory"] == "3g"
    assert conf["spark.mine"] == "1"
    assert conf["spark.master"] == "local[*]"


def test_the_master_and_the_event_log_are_the_settings_own(tmp_path: Path):
    conf = Configuration.of(settings(master="local[3]", event_log=str(tmp_path / "a b"))).conf
    assert conf["spark.master"] == "local[3]"
    assert conf["spark.eventLog.enabled"] == "true"


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("/a b/é 100%", "file:///a%20b/%C3%A9%20100%25"),
        ("s3://bucket/my logs", "s3a://bucket/my%20logs"),
        ("s3a://bucket/é", "s3a://bucket/%C3%A9"),
    ],
)
def test_the_event_log_s_address_is_an_escaped_uri(address: str, meant: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("job.engine.configuration._s3", lambda **_: ({}, ()))
    assert Configuration.make(event_log=address).conf["spark.eventLog.dir"] == meant


@pytest.mark.parametrize("name", ["data", "out", "cache", "event_log"])
def test_a_path_that_is_no_utf8_is_refused_before_java_is_started(name: str):
    with pytest.raises(UsageError, match="is not UTF-8, in which Spark is told of it: rename the folder"):
        Configuration.of(settings(**{name: os.fsdecode(b"pict\xffres")}))


def test_a_relative_path_below_a_folder_that_is_no_utf8_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / os.fsdecode(b"\xff")
    place.mkdir()
    monkeypatch.chdir(place)
    with pytest.raises(UsageError, match=r"The path of 'out' is not UTF-8"):
        Configuration.of(settings())
    assert Configuration.of(settings(out=str(tmp_path))).conf


def test_where_spark_submit_has_chosen_the_master_it_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    conf = Configuration.of(settings()).conf
    assert not {"spark.master", "spark.driver.host", "spark.driver.memory"} & set(conf)


def test_only_a_command_on_this_machine_does_without_compiled_queries():
    def has(*, for_command: bool, master: str = "local[2]") -> bool:
        conf = Configuration.make(master=master, for_command=for_command).conf
        assert set(conf) >= SHORT_LIVED or not SHORT_LIVED & set(conf)
        return set(conf) >= SHORT_LIVED

    assert has(for_command=True)
    assert has(for_command=True, master="local")
    assert not has(for_command=False)
    assert has(for_command=True, master="local-cluster[2,1,1024]")
    assert not has(for_command=False, master="local-cluster[2,1,1024]")
    assert not has(for_command=True, master="k8s://https://a")


@pytest.mark.parametrize("key", ["spark.sql.adaptive.enabled", "spark.python.sql.dataFrameDebugging.enabled"])
def test_only_the_command_does_without_adaptive_queries_and_lines_of_code_in_errors(key: str):
    assert Configuration.make(master="k8s://https://a", for_command=True).conf[key] == "false"
    assert key not in Configuration.make(master="k8s://https://a").conf


def test_executors_elsewhere_are_given_no_compiler_and_no_collector():
    for master in ("local[2]", "spark://a:7077", "k8s://https://a"):
        for for_command in (True, False):
            conf = Configuration.make(master=master, for_command=for_command).conf
            assert not [value for value in conf.values() if "-XX:" in value]


def test_spark_s_warehouse_lies_where_this_machine_keeps_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert Configuration.make().conf["spark.sql.warehouse.dir"] == str(tmp_path / "fruits-warehouse")


def test_a_master_is_local_when_tasks_run_in_the_driver():
    def local(master: str) -> bool:
        return Configuration.make(master=master).local

    assert local("local")
    assert local("local[*]")
    assert local("local[3,2]")
    assert not local("local-cluster[2,1,1024]")
    assert not local("spark://a:7077")


def test_making_a_configuration_changes_nothing_in_the_environment():
    before = dict(os.environ)
    Configuration.make(master="local[1]", event_log="/tmp/x")
    assert dict(os.environ) == before


def test_unix_sockets_are_used_where_their_path_is_short_enough(monkeypatch: pytest.MonkeyPatch):
    def used(temporary: str, master: str = "local[1]") -> bool:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        return Configuration.make(master=master).conf["spark.python.unix.domain.socket.enabled"] == "true"

    assert used("/tmp")
    assert used("/" + "x" * 47)
    assert not used("/" + "x" * 48)
    assert used("/" + "x" * 48, "k8s://https://a")
