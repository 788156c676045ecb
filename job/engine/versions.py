"""Versions of what computes, for the manifest."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def versions(spark: "SparkSession") -> dict[str, Any]:
    """Versions of what computes, for the manifest."""
    import platform
    from importlib.metadata import version

    from job import __version__

    java = spark.sparkContext._jvm.java.lang.System.getProperty("java.version")  # type: ignore[union-attr]
    packages = ("pyspark", "numpy", "pandas", "pyarrow", "scipy")
    cv = next((name for name in ("opencv-python-headless", "opencv-python") if find_spec("cv2") and _has(name)), None)
    return {
        "fruits": __version__,
        "python": platform.python_version(),
        "java": java,
        **{name: version(name) for name in packages},
        **({"opencv": version(cv)} if cv else {}),
    }


def _has(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
