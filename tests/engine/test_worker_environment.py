import os
import subprocess
import sys
from pathlib import Path

from job.engine import worker_environment


def test_importing_any_module_of_the_engine_changes_nothing_in_the_environment():
    """`import job.spark` once set the thread variables of whoever imported it."""
    folder = Path(worker_environment.__file__).parent
    names = sorted(f"job.engine.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__")
    assert {"job.engine.worker_daemon", "job.engine.session", "job.engine.jvm"} <= set(names)
    program = (
        "import os, sys\nbefore, path = dict(os.environ), list(sys.path)\n"
        f"import importlib\nfor name in {names}: importlib.import_module(name)\n"
        "assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())\n"
        "assert sys.path == path\n"
    )
    clean = {name: value for name, value in os.environ.items() if name not in worker_environment.PROCESS_VARIABLES}
    subprocess.run([sys.executable, "-c", program], env=clean, check=True)
