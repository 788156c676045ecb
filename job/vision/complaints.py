"""What a C library writes to its standard error while it works, told to the caller and to nobody else.

libjpeg goes on where its data make no sense, and says so there alone: OpenCV does not hand it on.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_lock = Lock()
_FROM_START = 0


class _Stream(NamedTuple):
    """A stream of C into memory: the library that it is one of, the variable that it takes the place of, itself, and
    where its content and the size of that are told."""

    library: Any
    variable: ctypes.c_void_p
    stream: int
    content: ctypes.c_void_p
    size: ctypes.c_size_t


@cache
def _stream() -> _Stream | None:
    """None where the C library is none that is known: in others the variable can't be written to."""
    try:
        glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):
        glibc = False
    if not glibc and sys.platform != "darwin":
        return None
    try:
        library = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(library, "stderr" if glibc else "__stderrp")
        make = library.open_memstream
    except (OSError, ValueError, AttributeError):
        return None
    make.restype, make.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]
    library.fflush.argtypes = [ctypes.c_void_p]
    library.fseek.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    content, size = ctypes.c_void_p(), ctypes.c_size_t()
    stream = make(ctypes.byref(content), ctypes.byref(size))
    return _Stream(library, variable, stream, content, size) if stream else None


def heard(call: Callable[[], T]) -> tuple[T, bytes]:
    """What a call gives, and what C code wrote to `stderr` meanwhile. One call at a time; Python's own `sys.stderr` and
    other processes are not touched. Nothing is heard where the C library is not known."""
    found = _stream()
    if found is None:
        return call(), b""
    with _lock:
        before = found.variable.value
        found.variable.value = found.stream
        try:
            result = call()
        finally:
            found.variable.value = before
            found.library.fflush(found.stream)
            said = ctypes.string_at(found.content, found.size.value) if found.size.value else b""
            if said:
                found.library.fseek(found.stream, 0, _FROM_START)
                found.library.fflush(found.stream)
        return result, said
