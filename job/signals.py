"""Signals that end a command."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def interrupted_after(ending: Callable[[], None]) -> Iterator[None]:
    """Context manager: SIGINT and SIGTERM call `ending`, and then raise KeyboardInterrupt.

    `ending` ends what the block may be waiting for, so that clean-up which asks that for something meets its end
    instead of waiting for ever. Whatever error comes of it is taken for the interruption that it is. Further signals
    are ignored until the block has ended. In a thread other than the main one nothing changes.
    """
    told, hook = False, sys.unraisablehook

    def unraisable(found: "sys.UnraisableHookArgs") -> None:
        # Raised while an object was being thrown away, where Python drops what is raised: `ending` does its work then.
        if not (told and issubclass(found.exc_type, KeyboardInterrupt)):
            hook(found)

    def interrupt(*_: object) -> None:
        nonlocal told
        told = True
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        ending()
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, interrupt)
    except ValueError:
        yield
        return
    sys.unraisablehook = unraisable
    try:
        yield
    except Exception as error:
        if told:
            raise KeyboardInterrupt from error
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            with suppress(ValueError, TypeError):  # TypeError: the handler before was not Python's
                signal.signal(number, handler)


# Seconds between two looks at whether a signal has come.
_GLANCE = 0.1


class Ending:
    """Whether this process was told to end.

    Attributes
    ----------
    told
        Whether a signal has come.
    at_once
        Whether the first one raises KeyboardInterrupt too, as the second one does.

    """

    def __init__(self, *, at_once: bool) -> None:
        self.told = False
        self.at_once = at_once

    def wait(self, seconds: float) -> None:
        """Returns after so many seconds, or soon after the process was told to end."""
        limit = time.monotonic() + seconds
        while not self.told and (left := limit - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE))


@contextmanager
def told_to_end(*, at_once: bool = False) -> Iterator[Ending]:
    """Context manager: the first SIGINT or SIGTERM is noted, for the block to end when its work in hand is done.

    A second one raises KeyboardInterrupt. With `at_once`, which the block may change, the first one does as well. It is
    noted all the same, since libraries take what is raised while they are loaded for a fault of theirs, and go on. In a
    thread other than the main one nothing is noted.
    """
    ending = Ending(at_once=at_once)

    def note(*_: object) -> None:
        again, ending.told = ending.told, True
        if again or ending.at_once:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
    except ValueError:
        yield ending
        return
    try:
        yield ending
    finally:
        for number, handler in before.items():
            with suppress(ValueError, TypeError):  # TypeError: the handler before was not Python's
                signal.signal(number, handler)


@contextmanager
def answered_later() -> Iterator[None]:
    """Context manager: SIGINT and SIGTERM that come within the block are answered at its end.

    What must not be half done, such as starting a process and noting that it is there, stands in the block. In a thread
    other than the main one nothing changes.
    """
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, lambda number, _: came.append(number))
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError, TypeError):  # TypeError: the handler before was not Python's
                signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def not_inherited() -> Iterator[None]:
    """Context manager: SIGINT and SIGTERM never reach the processes that are started in the block.

    They may reach this one, by a thread that others have started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Context manager: SIGTERM, as from Kubernetes or a CI system, raises KeyboardInterrupt as Ctrl-C does.

    A second SIGTERM while the first is being cleaned up after is ignored. In a thread other than the main one, which
    can't have signals, nothing changes.
    """

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        with suppress(ValueError, TypeError):  # TypeError: the handler before was not Python's
            signal.signal(signal.SIGTERM, before)
