"""A place for what starts Spark in processes of their own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets, which that of `tmp_path` is not."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)
