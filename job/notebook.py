"""What a notebook needs besides the stages: a session, the progress of Spark's jobs below each cell, pictures."""

import base64
import html
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from job.engine.progress import Watch, Work
from job.report.text import about
from job.settings import Settings
from job.taskfigures import seconds_left

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PERIOD = 0.25
_open = ExitStack()


def start(settings: Settings) -> "SparkSession":
    """A Spark session for these settings, with the progress of its jobs below each cell. A session that an earlier call
    has started is stopped.

    On this machine it is the one of `fruits run`; with another master (`k8s://...`) this process is the driver, and
    `SPARK_CONF_DIR` says the rest.
    """
    from job.engine.configuration import Configuration
    from job.engine.session import session

    stop()
    spark = _open.enter_context(session(Configuration.of(settings)))
    _open.enter_context(progress(spark))
    return spark


def stop() -> None:
    """Stops the session that `start` has started, and its executors."""
    _open.close()


class Bars:
    """Stages as bars in a notebook, and as lines where there is no HTML."""

    def __init__(self, stages: Iterable[Work], jobs: int, seconds: float) -> None:
        self._stages, self._jobs, self._seconds = list(stages), jobs, seconds

    def __repr__(self) -> str:
        total = sum(work.done for work in self._stages)
        lines = [f"{work.name}: {work.done} of {work.tasks} tasks{_more(work)}" for work in self._stages]
        return "\n".join([*lines, f"Spark: {self._jobs} jobs, {total} tasks, {self._seconds:.1f} s"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(work.name)}</td><td><progress max='{work.tasks}' "
            f"value='{work.done}'></progress></td><td style='text-align:left'>{work.done} of {work.tasks} tasks"
            f"{_more(work)}</td></tr>"
            for work in self._stages
        )
        return f"<table>{rows}</table><small>Spark: {self._jobs} jobs, {self._seconds:.1f} s</small>"


def _more(work: Work) -> str:
    left = seconds_left(work.done, work.tasks, work.seconds)
    parts = [
        f"{work.running} running" if work.running else "",
        f"{work.failed} failed" if work.failed else "",
        f"about {about(left)} left" if left else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def progress(spark: "SparkSession") -> ExitStack:
    """Shows the jobs that a cell starts, below it, until the context ends; nothing outside of IPython."""
    from IPython import get_ipython

    shell, registered = get_ipython(), ExitStack()
    if shell is None:
        return registered
    shown: list[_Shown] = []

    def begin(_info: Any = None) -> None:
        shown.append(_Shown(spark))

    def end(_result: Any = None) -> None:
        while shown:
            shown.pop().finish()

    for name, callback in (("pre_run_cell", begin), ("post_run_cell", end)):
        shell.events.register(name, callback)
        registered.callback(shell.events.unregister, name, callback)
    registered.callback(end)
    return registered


class _Shown:
    """The bars of one cell: nothing until its first job."""

    def __init__(self, spark: "SparkSession") -> None:
        self._watch, self._begun = Watch(spark), time.monotonic()
        self._handle: Any = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="spark-progress", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._done.set()
        self._thread.join(5)

    def _follow(self) -> None:
        from IPython.display import display

        ended = False
        while not ended:
            ended = self._done.wait(_PERIOD)
            try:
                stages = self._watch.look()
            except Exception:  # noqa: BLE001  (the session has been stopped by this cell)
                return
            if not stages:
                continue
            bars = Bars(stages, len(self._watch.jobs), time.monotonic() - self._begun)
            if self._handle is None:
                self._handle = display(bars, display_id=True)  # type: ignore[no-untyped-call]
            else:
                self._handle.update(bars)


class Gallery:
    """Small pictures side by side, each with its caption; `pictures` are captions and PNG or JPEG bytes."""

    def __init__(self, pictures: Iterable[tuple[str, bytes]], width: int = 150) -> None:
        self._pictures, self._width = list(pictures), width

    def __repr__(self) -> str:
        return ", ".join(caption for caption, _ in self._pictures)

    def _repr_html_(self) -> str:
        return "".join(
            f"<figure style='display:inline-block;margin:4px'><img width='{self._width}' alt='' "
            f"src='data:image;base64,{base64.b64encode(data).decode()}'><figcaption>{html.escape(caption)}</figcaption>"
            "</figure>"
            for caption, data in self._pictures
        )
