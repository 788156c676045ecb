"""What the process that Spark's Python workers are forked from does before it forks."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def said(program: str, *path: Path) -> list[str]:
    """What a fresh interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, Path.cwd()]))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_pyarrow_imports_no_pandas_for_a_list_and_still_converts_to_it():
    assert said("""
import sys
from job.engine import worker_daemon
worker_daemon._keep_pandas_away()
import pyarrow as pa
table = pa.table({"a": [1, 2]})
print("pandas" in sys.modules, len(table.to_pandas()), "pandas" in sys.modules)
""") == ["False", "2", "True"]


def test_pyspark_is_that_of_the_environment_and_no_archive_is_searched():
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    archives = sorted((folder / "python" / "lib").glob("*.zip"))
    assert archives
    program = """
import sys
from job.engine import worker_daemon
worker_daemon._leave_archives()
import pyspark
print(pyspark.__file__, any(path.endswith(".zip") and "pyspark" in path for path in sys.path_importer_cache))
"""
    assert said(program, *archives) == [spec.origin, "False"]


def test_pyspark_of_an_archive_is_kept_where_there_is_no_other(tmp_path: Path):
    program = """
import sys
from job.engine import worker_daemon
worker_daemon.PathFinder = type("None here", (), {"find_spec": staticmethod(lambda *_: None)})
worker_daemon._leave_archives()
print(any(path.endswith("x.zip") for path in sys.path))
"""
    assert said(program, tmp_path / "x.zip") == ["True"]
