"""Signals that end a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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
