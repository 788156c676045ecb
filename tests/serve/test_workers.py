"""Processes that predict, when they die on a picture, can't start or are too late."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from serving import MODEL

from job import load_model
from job.errors import UserError
from job.serve.workers import LateError, Workers, _Process


def dies(pipe) -> None:
    pipe.send(None)
    pipe.recv()
    os._exit(1)


class Dying(Workers):
    """Its processes die on whatever they get."""

    started = 0

    def _started(self) -> _Process:
        self.started += 1
        here, there = self._context.Pipe()
        process = self._context.Process(target=dies, args=(there,), daemon=True)
        process.start()
        there.close()
        assert here.recv() is None
        return _Process(process, here)


def soon() -> float:
    return time.monotonic() + 30


def test_a_picture_on_which_two_processes_die_is_called_crashed_and_costs_no_more() -> None:
    with Dying("", "", 1) as workers:
        found = asyncio.run(workers.predict(b"", 1, 0.0, soon()))
        assert workers.started == 2
    assert found["status"] == "crashed"
    assert found["reason"] == "The process that read the picture broke down."


def test_a_model_that_changed_is_not_served_by_new_processes() -> None:
    with pytest.raises(UserError, match="has changed since this server was started"), Workers(str(MODEL), "0" * 64, 1):
        pass


def test_a_request_whose_time_is_over_is_not_begun() -> None:
    model = load_model(MODEL)
    with Workers(model.uri, model.digest, 1) as workers:
        with pytest.raises(LateError):
            asyncio.run(workers.predict((Path(MODEL).parent / "0.jpg").read_bytes(), 1, 0.0, time.monotonic() - 1))
        assert workers.restarts == 0
