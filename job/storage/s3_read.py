"""Reads many small objects: a window of requests is on its way while the caller works on what has arrived.

Threads around obstore's blocking `get` take far less CPU for each object than s3fs; tests/benchmarks/s3.py compares
the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from queue import SimpleQueue
from threading import Condition, Lock, Thread

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from job.storage.clients import object_store
from job.storage.config import s3_config
from job.storage.faults import again, explain, is_one_object
from job.storage.types import Fault
from job.storage.uris import join, split_s3

# Bytes that may wait in memory after they have arrived and before the caller takes them. Only large pictures reach it.
_BYTES_IN_FLIGHT = 64 << 20
# The window is filled up by a third at a time. To ask for one object whenever one is taken would interrupt the caller's
# work for each picture.
_PARTS = 3


def read_many(root: str, names: Sequence[str], max_bytes: int, in_flight: int) -> Iterator[bytes | Fault]:
    """See `job.storage.read_many`. Memory: `_BYTES_IN_FLIGHT`, or one object if that is larger."""
    bucket, key = split_s3(root)
    base = f"{key}/" if key else ""
    store = object_store(bucket)
    budget = _Budget(_BYTES_IN_FLIGHT)
    at_once = max(1, in_flight // _PARTS)
    numbered = enumerate(names)

    def read(number: int, name: str) -> bytes | Fault:
        return _read(store, base + name, max_bytes, budget, number)

    readers = _Readers(read, _threads(os.getpid()))
    try:
        readers.ask(islice(numbered, in_flight))
        early: dict[int, bytes | Fault | Exception] = {}
        for wanted, name in enumerate(names):
            budget.wait_for(wanted)
            while wanted not in early:
                number, content = readers.answered.get()
                early[number] = content
            found = early.pop(wanted)
            if isinstance(found, BaseError | OSError):
                raise explain(found, join(root, name), s3_config(), "read") from found
            if isinstance(found, Exception):
                raise found
            budget.release(found)
            if (wanted + 1) % at_once == 0:
                readers.ask(islice(numbered, at_once))
            yield found
    finally:
        budget.stop()
        readers.stop()


class _Readers:
    """What one caller has asked for, and the answers."""

    def __init__(self, read: Callable[[int, str], bytes | Fault], threads: _Threads) -> None:
        self._read = read
        self._threads = threads
        self._stopped = False
        self.answered: SimpleQueue[tuple[int, bytes | Fault | Exception]] = SimpleQueue()

    def ask(self, questions: Iterable[tuple[int, str]]) -> None:
        for number, name in questions:
            self._threads.ask(self, number, name)

    def stop(self) -> None:
        """Leaves all questions that no thread has begun with."""
        self._stopped = True

    def answer(self, number: int, name: str) -> None:
        if self._stopped:
            return
        try:
            self.answered.put((number, self._read(number, name)))
        except Exception as error:  # noqa: BLE001 - raised where the caller waits for it
            self.answered.put((number, error))


class _Threads:
    """Threads that answer questions. There are as many as there were unanswered questions at the same time; they are
    kept for the next task of this process, because to start them would take a good part of a short task."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[_Readers, int, str]] = SimpleQueue()
        self._lock = Lock()
        self._idle = 0

    def ask(self, readers: _Readers, number: int, name: str) -> None:
        self._asked.put((readers, number, name))
        with self._lock:
            self._idle -= 1
            more = self._idle < 0
            self._idle += more
        if more:
            Thread(target=self._work, name="fruits-read", daemon=True).start()

    def _work(self) -> None:
        while True:
            readers, number, name = self._asked.get()
            readers.answer(number, name)
            del readers  # and with it what has been read
            with self._lock:
                self._idle += 1


@lru_cache(maxsize=1)
def _threads(process: int) -> _Threads:
    """The threads of this process: those of the one that it was forked from are not here."""
    del process
    return _Threads()


def _read(store: S3Store, key: str, max_bytes: int, budget: _Budget, number: int) -> bytes | Fault:
    try:
        return again(lambda: _get(store, key, max_bytes, budget, number))
    except ValueError:  # a key that obstore can't name: a control character, an empty folder name
        return Fault("unreadable")
    except (BaseError, OSError) as error:
        if is_one_object(error):
            return Fault("unreadable")
        raise


def _get(store: S3Store, key: str, max_bytes: int, budget: _Budget, number: int) -> bytes | Fault:
    answer = obstore.get(store, key)  # returns with the headers
    _, size = answer.range
    if size == 0:
        return Fault("empty")
    if size > max_bytes:
        return Fault("too_large")
    budget.take(number, size)
    try:
        return bytes(answer.bytes())
    except BaseException:
        budget.give_back(size)
        raise


class _Budget:
    """Bytes that may be in memory at once. The object that the caller waits for always gets through."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._wanted = -1
        self._waiting = 0
        self._lock = Lock()
        self._changed = Condition(self._lock)

    def take(self, number: int, size: int) -> None:
        with self._lock:
            if self._used + size > self._limit:
                self._waiting += 1
                self._changed.wait_for(lambda: number <= self._wanted or self._used + size <= self._limit)
                self._waiting -= 1
            self._used += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size
            self._tell()

    def release(self, content: bytes | Fault) -> None:
        if not isinstance(content, Fault):
            self.give_back(len(content))

    def wait_for(self, number: int) -> None:
        with self._lock:
            self._wanted = number
            self._tell()

    def stop(self) -> None:
        """Lets every waiting thread go: nobody takes what they bring."""
        self.wait_for(1 << 62)

    def _tell(self) -> None:
        if self._waiting:
            self._changed.notify_all()
