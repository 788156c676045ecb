"""Which of the names in a store are those of pictures.

A picture's name ends in one of `IMAGE_SUFFIXES`, in any case. What is hidden, as Unix and Jupyter hide it by a leading
dot, is never a picture: `.ipynb_checkpoints/` holds copies, and `._x.jpg` is what macOS keeps beside `x.jpg`.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from job.storage.types import IMAGE_SUFFIXES

HIDDEN = "hidden"
_LONGEST_SUFFIX = 12
_IS_IMAGE = f"(?i)({'|'.join(map(re.escape, IMAGE_SUFFIXES))})$"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name (without the folders above it) is hidden."""
    return name.startswith(".")


def is_picture(name: str) -> bool:
    """Whether a file of this name (without the folders above it) is taken for a picture."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(name)


class PassedOver:
    """Counts what a listing leaves out: files by the end of their names (`.txt`), and what is hidden.

    A hidden folder of this machine is not looked into, and counts as one. Several threads may add.
    """

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[str]()

    def add(self, kinds: Iterable[str]) -> None:
        """Count a file of each of these kinds."""
        with self._lock:
            self._counts.update(kinds)

    def counts(self) -> dict[str, int]:
        """Number of files by kind, the most frequent first."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))


def kind_of(name: str) -> str:
    """The kind of a file that is no picture, by its name without the folders above: `hidden`, `.txt`, `no suffix`."""
    if is_hidden(name):
        return HIDDEN
    _, dot, suffix = name.rpartition(".")
    if not dot or not 0 < len(suffix) <= _LONGEST_SUFFIX:
        return "no suffix"
    return os.fsencode(f".{suffix.lower()}").decode(errors="backslashreplace")


def pictures(files: pa.Table, prefix: str, passed_over: PassedOver | None = None) -> pa.Table:
    """The rows of a table with a column `name` that are pictures, and neither hidden nor in a hidden folder; the others
    are counted.

    The folders of `prefix`, with which all names begin, were asked for and may be hidden themselves.
    """
    start = re.escape(f"{prefix}/") if prefix else ""
    hidden = pc.match_substring_regex(files["name"], rf"(?s)^{start}(.*/)?\.")
    good = pc.and_not(pc.match_substring_regex(files["name"], _IS_IMAGE), hidden)
    if passed_over is not None:
        # what ends in a slash is an object that stands for a folder
        files_alone = pc.and_not(pc.invert(good), pc.ends_with(files["name"], "/"))
        passed_over.add(HIDDEN for _ in range(pc.sum(pc.and_(files_alone, hidden)).as_py() or 0))
        others = files["name"].filter(pc.and_not(files_alone, hidden))
        passed_over.add(kind_of(name.rpartition("/")[2]) for name in others.to_pylist())
    return files.filter(good)


def is_sorted(names: pa.ChunkedArray) -> bool:
    """Whether the names are in the order of their UTF-8 bytes."""
    last: pa.Scalar | None = None
    for chunk in names.chunks:
        if not len(chunk):
            continue
        if last is not None and pc.less(chunk[0], last).as_py():
            return False
        if pc.any(pc.less(chunk[1:], chunk[:-1])).as_py():
            return False
        last = chunk[-1]
    return True
