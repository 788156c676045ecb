"""The command lines that make the runs: both are taken by this package's own commands."""

import pytest

from job.benchmark.launchers import KubernetesLauncher, LocalLauncher, machine
from job.benchmark.schedule import Point
from job.cluster import run_arguments
from job.commands import main as cli
from job.errors import UserError
from job.experiment.choices import choices
from job.settings import resolve

POINT = Point(4, 2, 1168, 1)


def test_a_local_run_has_executors_of_its_own_and_waits_for_all_of_them(tmp_path):
    launcher = LocalLauncher(tmp_path, ["--words", "50"], ["spark.my.password=hush"], 1536)
    line, environment = launcher.command(POINT, "e4")
    assert "hush" not in " ".join(line)
    settings = resolve(vars(cli.parser().parse_args(line)), environment, choices=choices())
    assert settings.master == "local-cluster[4,2,1536]"
    assert (settings.words, settings.train_images, settings.test_images) == (50, 876, 292)
    assert (settings.out, settings.run_name) == (str(tmp_path / "runs"), "e4")
    conf = settings.spark_conf()
    assert conf["spark.my.password"] == "hush"
    assert conf["spark.cores.max"] == "8"
    assert conf["spark.scheduler.minRegisteredResourcesRatio"] == "1.0"
    assert conf["spark.eventLog.rolling.enabled"] == "false"
    assert {"SPARK_HOME", "SPARK_WORKER_DIR", "FRUITS_CONF"} == set(environment)


def test_the_event_log_of_a_local_run_is_read_and_removed(tmp_path):
    place = tmp_path / "events" / "e4"
    place.mkdir(parents=True)
    (place / "app-1").write_bytes(b"{}")
    assert LocalLauncher(tmp_path, [], [], 1024).event_log("e4") == b"{}"
    assert not place.exists()


def test_a_run_on_kubernetes_is_one_of_submit(tmp_path):
    launcher = KubernetesLauncher(
        tmp_path, ["--data", "s3://b/pictures"], ["--name", "bench", "--image", "i:1"], "s3://b/out"
    )
    line, _ = launcher.command(POINT, "e4")
    found = cli.parser().parse_args(line)
    assert (found.command, found.name, found.image) == ("submit", "bench", "i:1")
    assert (found.executors, found.executor_cores, found.results) == (4, 2, str(tmp_path / "runs"))
    settings = run_arguments.settings(run_arguments.parse(["run", *found.arguments]))
    assert (settings.data, settings.run_name, settings.event_log) == ("s3://b/pictures", "e4", "s3://b/out/events/e4")
    assert (settings.train_images, settings.test_images) == (876, 292)


def test_of_several_event_logs_that_of_the_driver_that_ended_is_read(tmp_path):
    launcher = KubernetesLauncher(tmp_path, [], [], str(tmp_path))
    place = tmp_path / "events" / "e4"
    with pytest.raises(UserError, match="no event log in"):
        launcher.event_log("e4")
    place.mkdir(parents=True)
    (place / "spark-7f").write_bytes(b"{}")
    (place / "spark-8a.inprogress").write_bytes(b"[]")
    assert launcher.event_log("e4") == b"{}"
    (place / "spark-7f").unlink()
    assert launcher.event_log("e4") == b"[]"


def test_the_machine_is_named():
    found = machine()
    assert found["cores"] >= 1
    assert found["cpu"]
