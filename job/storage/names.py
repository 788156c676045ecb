"""Which of the names in a store are those of pictures.

A picture's name ends in one of `IMAGE_SUFFIXES`, in any case. What is hidden, as Unix and Jupyter hide it by a leading
dot, is never a picture: `.ipynb_checkpoints/` holds copies, and `._x.jpg` is what macOS keeps beside `x.jpg`.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from job.storage.types import IMAGE_SUFFIXES

_IS_IMAGE = f"(?i)({'|'.join(map(re.escape, IMAGE_SUFFIXES))})$"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name (without the folders above it) is hidden."""
    return name.startswith(".")


def is_picture(name: str) -> bool:
    """Whether a file of this name (without the folders above it) is taken for a picture."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(name)


def pictures(files: pa.Table, prefix: str) -> pa.Table:
    """The rows of a table with a column `name` that are pictures, and neither hidden nor in a hidden folder.

    The folders of `prefix`, with which all names begin, were asked for and may be hidden themselves.
    """
    start = re.escape(f"{prefix}/") if prefix else ""
    hidden = pc.match_substring_regex(files["name"], rf"(?s)^{start}(.*/)?\.")
    return files.filter(pc.and_not(pc.match_substring_regex(files["name"], _IS_IMAGE), hidden))


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
