"""What the process that Spark's Python workers are forked from does before it forks."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from job.engine import worker_daemon
from job.engine.worker_daemon import leave_archives

ARCHIVES = [
    "/spark/python/lib/pyspark.zip",
    "/spark/python/lib/py4j-0.10.9.9-src.zip",
    "/spark/spark-core_2.13-4.1.1.jar",
]


def test_spark_s_archives_are_left_where_pyspark_is_installed():
    assert leave_archives([*ARCHIVES, *sys.path]) == sys.path


def test_archives_of_the_user_stay():
    mine = ["/home/me/features.zip", "/home/me/pyspark.zip.d"]
    assert leave_archives([*mine, *ARCHIVES, *sys.path]) == [*mine, *sys.path]


def test_spark_s_archives_stay_where_there_is_no_other_pyspark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_daemon.PathFinder, "find_spec", lambda *_: None)
    assert leave_archives([*ARCHIVES, "/x"]) == [*ARCHIVES, "/x"]


def test_the_daemon_takes_pyspark_of_the_environment_and_has_one_thread_each():
    """It is started as Spark starts it, and asked for nothing: it ends when its input does."""
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    archives = sorted((Path(spec.origin).parent / "python" / "lib").glob("*.zip"))
    assert archives
    program = """
import runpy, sys, types
daemon = types.ModuleType("pyspark.daemon")
def manager():
    import os
    import pyspark
    searched = [path for path in sys.path_importer_cache if path.endswith(".zip") and "pyspark" in path]
    print(pyspark.__file__, searched, os.environ["OMP_NUM_THREADS"], "pyspark.ml" in sys.modules)
daemon.manager = manager
sys.modules["pyspark.daemon"] = daemon
runpy.run_module("job.engine.worker_daemon", run_name="__main__")
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [*archives, Path.cwd()]))
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [spec.origin, "[]", "1", "False"]
