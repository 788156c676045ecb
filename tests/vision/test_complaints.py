"""What C code writes to its standard error."""

import ctypes
import os
import sys

import pytest

from job.vision.complaints import heard

libc = ctypes.CDLL(None)


def say(text: bytes) -> int:
    libc.perror(text)
    return len(text)


def test_what_c_writes_is_heard_once_and_not_seen(capfd):
    assert heard(lambda: say(b"one"))[0] == 3
    assert heard(lambda: say(b"longer than that"))[1].startswith(b"longer than that: ")
    assert heard(lambda: say(b"two"))[1].count(b"\n") == 1
    assert heard(lambda: 5) == (5, b"")
    assert capfd.readouterr().err == ""


def test_what_others_write_goes_where_it_went(capfd):
    _, said = heard(lambda: (os.write(2, b"raw\n"), print("python", file=sys.stderr, flush=True)))
    assert said == b""
    say(b"after")
    libc.fflush(None)
    assert capfd.readouterr().err.startswith("raw\npython\nafter: ")


def test_after_an_error_nothing_is_left_over(capfd):
    with pytest.raises(ZeroDivisionError):
        heard(lambda: say(b"one") / 0)
    assert heard(lambda: 5) == (5, b"")
    say(b"seen")
    libc.fflush(None)
    assert capfd.readouterr().err.startswith("seen: ")
