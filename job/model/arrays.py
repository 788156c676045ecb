"""Arrays of a saved model, read from bytes that nobody vouches for: no pickle, no size that is believed unseen."""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_SUFFIX = ".npy"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in an NPZ file, by their names; they can't be written to.

    They are float32, float64 or whole numbers, all of them finite, and stored without compression, as `numpy.savez`
    does: an array is never larger than the file that it comes from.

    Raises
    ------
    ValueError
        The file is no such thing; the message is a phrase that goes on after "it".

    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive, len(data))
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            arrays = dict(found)
    except (_FormatError, MemoryError):
        raise
    except Exception as error:  # what zipfile and numpy raise for bytes that somebody made up is theirs to choose
        raise ValueError("is no file of arrays") from error
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"has values in '{name}' that are not finite")
        array.setflags(write=False)
    return arrays


class _FormatError(ValueError):
    """A file of arrays that does not keep to the format."""


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Looks at the declared sizes and types of all members before one of them is unpacked."""
    names = archive.namelist()
    if not names or len(set(names)) < len(names) or not all(name.endswith(_SUFFIX) for name in names):
        raise _FormatError("is no file of arrays")
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise _FormatError("is compressed, which models of this program are not")
    if sum(member.file_size for member in members) > size:
        raise _FormatError("declares more bytes than it has")
    for member in members:
        with archive.open(member) as file:
            _check_array(member.filename.removesuffix(_SUFFIX), file, member.file_size)


def _check_array(name: str, file: IO[bytes], size: int) -> None:
    read_header = _HEADERS.get(npy.read_magic(file))
    if read_header is None:
        raise _FormatError(f"has an array '{name}' of a version that this program does not know")
    shape, _, dtype = read_header(file)
    if dtype not in (np.float32, np.float64) and dtype.kind not in "iu":
        raise _FormatError(f"has values of {dtype} in '{name}', not float32, float64 or whole numbers")
    if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise _FormatError(f"declares another size for '{name}' than it has")
