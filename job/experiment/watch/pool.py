"""Processes that predict: as many as there are cores, each with the model in its memory."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa

from job.apart import CRASHED
from job.engine.worker_environment import PROCESS_VARIABLES
from job.errors import UserError, tell
from job.model import load_model
from job.model.batch import predicted, unusable
from job.model.predict import NOTHING_REJECTED, Rejection
from job.signals import answered_later, not_inherited

if TYPE_CHECKING:
    from job.model.predict import Model

# Most pictures that one process gets at a time.
_PIECE = 32


class ReplacedError(UserError):
    """At the address of the model is another one by now."""


@dataclass(frozen=True)
class Task:
    """What is predicted by what.

    Attributes
    ----------
    model, digest
        Address of the model, and the digest that it must have.
    root
        Address that the names of pictures are relative to.
    rejection
        When the status is "unknown".

    """

    model: str
    digest: str
    root: str
    rejection: Rejection = NOTHING_REJECTED


class Found(NamedTuple):
    """Predictions of some pictures, and a sentence for each that the program could not cope with."""

    table: pa.Table
    faults: list[str]


class Pool:
    """Context manager: `count` processes that predict. They end with this process, however it ends.

    `warn` is told of pictures that the program could not cope with.
    """

    def __init__(self, task: Task, count: int, warn: Callable[[str], None] = tell) -> None:
        self._task = task
        self._count = count
        self._warn = warn
        self._executor: ProcessPoolExecutor | None = None
        self._broken = False

    def __enter__(self) -> Self:
        """Nothing is started before there is something to predict, or `warm` is called."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._end()

    def warm(self) -> None:
        """Has the processes load the model, while this one does something else; returns at once."""
        for _ in range(self._count):
            self._ask([])

    def predict(self, names: Sequence[str]) -> pa.Table:
        """Predictions of these pictures: a table of schema `job.model.batch.SCHEMA`, in their order.

        A picture that ends the process which reads it, as a fault in a decoder does, or makes it fail where others do
        not, has the status "crashed".

        Raises
        ------
        UserError
            The store does not work, or the processes can't be used: they can't load the model, or predict no picture.
        ReplacedError
            The model is not the one that it was.

        """
        if self._broken:  # by the last picture of the batch before
            self._restart()
        size = max(1, min(_PIECE, -(-len(names) // (2 * self._count))))
        pieces = [names[start : start + size] for start in range(0, len(names), size)]
        answers = [self._ask(piece) for piece in pieces]
        try:
            tables = [self._answer(future) for future in answers]
        except BaseException:
            for future in answers:
                if future is not None:
                    future.cancel()
            raise
        found: list[pa.Table] = []
        for piece, table in zip(pieces, tables, strict=True):
            # one picture after another, so that it is known which one it was
            found += [table] if table is not None else [self._alone(name) for name in piece]
        return pa.concat_tables(found)

    def _alone(self, name: str) -> pa.Table:
        if self._broken:
            self._restart()
        table = self._answer(self._ask([name]))
        return unusable([name], CRASHED) if table is None else table

    def _ask(self, names: Sequence[str]) -> "Future[Found] | None":
        """The answer of a process, or None where the processes have ended."""
        try:
            # Processes are started here: a Ctrl-C is for this one alone, which finishes its work in hand. A process
            # that was started and not noted would be waited for at the end, for ever; a semaphore that was made and
            # not noted would be told of.
            with answered_later():
                if self._executor is None:
                    self._executor = ProcessPoolExecutor(
                        self._count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
                    )
                # after the executor was made, which lets signals through again
                with _environment(PROCESS_VARIABLES), not_inherited():
                    return self._executor.submit(_work, self._task, names)
        except BrokenProcessPool:
            return None

    def _answer(self, future: "Future[Found] | None") -> pa.Table | None:
        """What a process has answered; None where it has ended. UserError where it can't do its work."""
        try:
            found = None if future is None else future.result()
        except BrokenProcessPool:
            found = None
        except UserError:
            raise
        except MemoryError as error:
            raise UserError("The processes that predict have too little memory for the model: give more.") from error
        except Exception as error:
            raise UserError(
                f"The processes that predict can't be used: {type(error).__name__}: {error}. This is a fault of this "
                "program, or of the model: run `fruits doctor`, or take another --model."
            ) from error
        if found is None:
            self._broken = True
            return None
        for fault in found.faults:
            self._warn(fault)
        return found.table

    def _restart(self) -> None:
        """New processes in place of those that ended. Raises UserError when these end as well."""
        self._end()
        if self._answer(self._ask([])) is None:
            self._end()
            raise UserError("The processes that predict end before they have read a picture: give more memory.")

    def _end(self) -> None:
        self._broken = False
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Context manager: processes that are started have these variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ---- in a process of the pool

_loaded: "Model | None" = None


def _begin() -> None:
    for ending in (_end_with_parent, _end_by_parent):
        Thread(target=ending, daemon=True).start()


def _end_with_parent() -> None:
    parent: Any = multiprocessing.parent_process()
    parent.join()
    os._exit(1)


def _end_by_parent() -> None:
    """Ends the process at a SIGTERM of its parent, by which the executor ends the others after a crash, and waits for
    them. It is blocked here, so that one which is meant for the parent alone, but reaches its whole group, changes
    nothing; but on macOS, which does not tell whose a signal is."""
    if hasattr(signal, "sigwaitinfo"):
        while signal.sigwaitinfo((signal.SIGTERM,)).si_pid != os.getppid():
            pass
    else:
        signal.sigwait((signal.SIGTERM,))
    os._exit(1)


def _work(task: Task, names: Sequence[str]) -> Found:
    """Predictions of these pictures. What is raised is no picture's fault."""
    model = _model(task)
    try:
        return Found(predicted(model, task.root, names, task.rejection), [])
    except UserError:
        raise
    except Exception:
        if not names:
            raise
    each = [_alone(model, task, name) for name in names]
    return Found(pa.concat_tables([one.table for one in each]), [fault for one in each for fault in one.faults])


def _alone(model: "Model", task: Task, name: str) -> Found:
    """The prediction of a picture; one that the program fails on is "crashed" if it can predict another."""
    try:
        return Found(predicted(model, task.root, [name], task.rejection), [])
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever one picture does, the others are to be predicted)
        from job.vision.sample import sample_picture

        model.predict(sample_picture(0, 0))  # raises as well where the picture is not the cause
        said = f"'{name}' could not be predicted, which is a fault of this program: {type(error).__name__}: {error}."
        return Found(unusable([name], CRASHED), [said])


def _model(task: Task) -> "Model":
    global _loaded  # noqa: PLW0603
    if _loaded is None:
        found = load_model(task.model)
        if found.digest != task.digest:
            raise ReplacedError(f"The model at '{task.model}' was replaced meanwhile: start the watch again.")
        _loaded = found
    return _loaded
