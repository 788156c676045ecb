"""Whether the Python that Spark's workers run under fits this process."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from job.errors import UserError

# What every worker imports before its first task.
_NEEDED = ("numpy", "pyarrow", "cv2", "pyspark", "job")
_ASK = (
    "import sys; from importlib.util import find_spec; "
    f"print('%d.%d' % sys.version_info[:2], *[name for name in {_NEEDED!r} if find_spec(name) is None])"
)
_ANSWER_LIMIT = 30.0
_WAY_OUT = "unset PYSPARK_PYTHON, or set it to the Python of this environment."


def check_python(environment: Mapping[str, str]) -> None:
    """Check the interpreter that PYSPARK_PYTHON names, for workers that run on this machine.

    Spark would only say that a worker gave no port number. Where the variable is not set, or names this process' own
    interpreter, nothing is started; another interpreter is started once and asked. `environment` is what the workers
    will have.

    Raises
    ------
    UserError
        When there is no such interpreter, when it is of another version than this one, or lacks a package.

    """
    name = environment.get("PYSPARK_PYTHON")
    if not name:
        return
    path = shutil.which(name, path=environment.get("PATH"))
    if path is None:
        raise UserError(f"PYSPARK_PYTHON is '{name}', and there is no such command: {_WAY_OUT}")
    if _is_own(path):
        return
    try:
        done = subprocess.run(
            [path, "-c", _ASK],
            env=dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode or not done.stdout.split():
        raise UserError(f"PYSPARK_PYTHON is '{name}', which does not work as a Python: {_WAY_OUT}")
    version, *missing = done.stdout.split()
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != own:
        raise UserError(f"PYSPARK_PYTHON is '{name}', which is Python {version}, and this is Python {own}: {_WAY_OUT}")
    if missing:
        raise UserError(f"PYSPARK_PYTHON is '{name}', which has no {', '.join(missing)}: {_WAY_OUT}")


def _is_own(path: str) -> bool:
    """Whether this is the interpreter of this process. The commands of two environments may be links to one file."""
    here, there = Path(sys.executable), Path(path)
    return here.parent.samefile(there.parent) and here.samefile(there)
