"""Calls in a process of its own, which a call may end."""

import ctypes
import errno
import os
import signal
from pathlib import Path

import pytest

from job.apart import Apart, CrashedError
from job.errors import UserError


def behave(what: str) -> object:
    if what == "segfault":
        ctypes.string_at(0)
    if what == "abort":
        os.abort()
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fails":
        raise ValueError("as it should")
    return what.upper(), os.getpid()


def test_calls_are_answered_by_one_other_process():
    with Apart(behave) as call:
        (first, process), (second, same) = call("a"), call("b")
    assert (first, second) == ("A", "B")
    assert process == same != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize("way", ["segfault", "abort", "killed"])
def test_a_call_that_ends_two_processes_is_named_and_the_next_ones_are_answered(way: str):
    with Apart(behave) as call:
        first = call("a")[1]
        with pytest.raises(CrashedError):
            call(way)
        answer, other = call("b")
    assert answer == "B"
    assert other not in (first, os.getpid())


def test_an_error_is_raised_where_the_call_was_made_and_ends_nothing():
    with Apart(behave) as call:
        process = call("a")[1]
        with pytest.raises(ValueError, match="as it should"):
            call("fails")
        assert call("b")[1] == process


def test_a_process_that_dies_once_costs_nothing(tmp_path):
    def once(name: str) -> str:
        if not (tmp_path / name).exists():
            (tmp_path / name).touch()
            os.abort()
        return name

    with Apart(once) as call:
        assert [call(name) for name in "ab"] == ["a", "b"]


@pytest.mark.parametrize("what", ["os.fork", "multiprocessing.Pipe"])
def test_a_process_that_can_not_be_started_is_told_and_is_no_crash(what: str, monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    with Apart(behave) as call:
        call("a")
        with monkeypatch.context() as patch:
            patch.setattr(what, fail)
            assert call("b")[0] == "B"
            with pytest.raises(UserError, match=r"can't be started: Resource temporarily unavailable\. End others"):
                call("segfault")
        descriptors = len(list(Path("/dev/fd").iterdir()))
        with monkeypatch.context() as patch:
            patch.setattr("os.fork", fail)
            for _ in range(3):
                with pytest.raises(UserError):
                    call("c")
        assert len(list(Path("/dev/fd").iterdir())) == descriptors
        assert call("d")[0] == "D"


def test_an_answer_that_can_not_be_handed_over_is_told_and_is_no_crash():
    def unfit(what: str) -> object:
        if what == "error":
            raise OddError(1, 2)
        return lambda: what

    with Apart(unfit) as call:
        for what in ("answer", "error"):
            with pytest.raises(Exception, match=r"pickle|OddError") as caught:
                call(what)
            assert not isinstance(caught.value, CrashedError)


class OddError(Exception):
    """One that pickle can't make again."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} {second}")


def test_where_nothing_is_called_nothing_is_started():
    with Apart(behave) as call:
        assert call._pipe is None
