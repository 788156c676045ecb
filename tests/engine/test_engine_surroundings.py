"""What a run needs of the machine: masters that answer, and cores for a task."""

import socket

import pytest

from job.engine.configuration import Configuration
from job.engine.surroundings import check_master
from job.errors import UsageError, UserError


@pytest.fixture
def port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


@pytest.mark.parametrize("form", ["k8s://https://127.0.0.1:{}", "k8s://127.0.0.1:{}", "k8s://http://127.0.0.1:{}/a"])
def test_a_kubernetes_master_that_does_not_answer_is_named(form: str, port: int):
    master = form.format(port)
    with pytest.raises(UserError) as told:
        check_master(master)
    assert told.value.message == (
        f"The Kubernetes API at '{master}' does not answer (Connection refused): check --master and that the cluster "
        "runs (kubectl cluster-info)."
    )


def test_a_login_or_a_certificate_is_no_matter_of_this_look(port: int):
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_master(f"k8s://https://127.0.0.1:{server.getsockname()[1]}")
        check_master(f"spark://127.0.0.1:{port},127.0.0.1:{server.getsockname()[1]}")


def test_a_kubernetes_master_behind_a_proxy_is_left_to_spark(port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    check_master(f"k8s://https://127.0.0.1:{port}")


def test_a_spark_master_that_does_not_answer_is_named(port: int):
    with pytest.raises(UserError, match=f"The Spark master at 'spark://127.0.0.1:{port}' does not answer"):
        check_master(f"spark://127.0.0.1:{port}")


def test_yarn_wants_its_configuration(monkeypatch: pytest.MonkeyPatch):
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="set HADOOP_CONF_DIR or YARN_CONF_DIR"):
        check_master("yarn")
    monkeypatch.setenv("YARN_CONF_DIR", "/etc/hadoop")
    check_master("yarn")


@pytest.mark.parametrize("master", ["local", "local[2]", "local-cluster[1,1,1024]", ""])
def test_other_masters_have_nothing_to_be_asked(master: str):
    check_master(master)


@pytest.mark.parametrize(
    ("master", "conf", "cores"),
    [
        ("local[2]", {"spark.task.cpus": "99"}, 2),
        ("local", {"spark.task.cpus": "2"}, 1),
        ("local-cluster[4,2,1024]", {"spark.task.cpus": "3"}, 2),
        ("k8s://https://a", {"spark.task.cpus": "2"}, 1),
        ("spark://a:7077", {"spark.task.cpus": "4", "spark.executor.cores": "3"}, 3),
    ],
)
def test_a_task_that_wants_more_cores_than_an_executor_has_is_refused(master: str, conf: dict[str, str], cores: int):
    with pytest.raises(UsageError) as told:
        Configuration.make(master=master, conf=conf)
    assert told.value.message.startswith(
        f"--conf spark.task.cpus is '{conf['spark.task.cpus']}', and an executor has {cores} "
    )


@pytest.mark.parametrize(
    ("master", "conf"),
    [
        ("local[2]", {"spark.task.cpus": "2"}),
        ("local-cluster[4,2,1024]", {"spark.task.cpus": "2"}),
        ("k8s://https://a", {"spark.task.cpus": "2", "spark.executor.cores": "4"}),
        ("spark://a:7077", {"spark.task.cpus": "4"}),
    ],
)
def test_a_task_that_has_the_cores_it_wants_is_not(master: str, conf: dict[str, str]):
    assert Configuration.make(master=master, conf=conf).conf["spark.task.cpus"] == conf["spark.task.cpus"]
