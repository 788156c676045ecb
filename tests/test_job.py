"""The names that `import job` offers, and what they load."""

import importlib
import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import job

ROOT = Path(__file__).parent.parent
MODEL = Path(__file__).parent / "model" / "data" / "v1"


def in_a_process(code: str) -> object:
    """What a Python process of its own prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_importing_job_loads_no_library():
    loaded = in_a_process("import sys, json, job; print(json.dumps(sorted(sys.modules)))")
    assert not {"numpy", "cv2", "pyarrow", "pandas", "scipy", "pyspark", "job.storage"} & set(loaded)


def test_loading_a_model_and_predicting_loads_neither_spark_nor_pandas():
    loaded = in_a_process(
        f"import sys, json, job\n"
        f"model = job.load_model({str(MODEL)!r})\n"
        f"assert model.predict({str(MODEL / '0.jpg')!r}).category == 'Corn'\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert {"numpy", "cv2", "job.model.format"} <= set(loaded)
    assert not {"pyspark", "py4j", "pandas", "scipy", "obstore", "s3fs"} & set(loaded)


@pytest.mark.parametrize("name", sorted(set(job.__all__) - {"__version__"}))
def test_each_name_is_there_and_says_what_it_is(name: str):
    found = getattr(job, name)
    assert inspect.isclass(found) or callable(found)
    assert inspect.getdoc(found)
    assert found.__name__ == name


def test_names_are_listed_without_being_loaded():
    listed = in_a_process("import sys, json, job; print(json.dumps([dir(job), 'job.model' in sys.modules]))")
    assert set(job.__all__) <= set(listed[0])
    assert listed[1] is False


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(AttributeError, match="module 'job' has no attribute 'nothing'"):
        importlib.import_module("job").nothing  # noqa: B018


def test_all_names_can_be_imported_at_once():
    space: dict[str, object] = {}
    exec("from job import *", space)
    assert set(job.__all__) <= set(space)


def test_the_version_is_where_the_build_looks_for_it():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    path = ROOT / settings["tool"]["hatch"]["version"]["path"]
    assert path == ROOT / "job" / "__init__.py"
    assert f'__version__ = "{job.__version__}"' in path.read_text(encoding="utf-8")
