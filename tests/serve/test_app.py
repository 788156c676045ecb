"""The application itself, when something in it fails."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from serving import MODEL

from job import load_model
from job.serve.app import application
from job.serve.limits import Limits
from job.serve.serving import Serving


class Failing:
    """Processes that predict, of a program with a fault."""

    restarts = 0

    async def predict(self, *_: Any) -> None:
        raise ZeroDivisionError("division by zero")


def test_a_fault_of_the_program_is_an_answer_and_is_told_and_counted() -> None:
    told: list[str] = []
    serving = Serving(load_model(MODEL), Failing(), Limits(), warn=told.append)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"picture"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
        with suppress(ZeroDivisionError):  # for the log of whoever runs the application
            await application(serving)(scope, receive, send)

    asyncio.run(ask())
    start, body = sent
    assert start["status"] == 500
    assert json.loads(body["body"])["status"] == "failed"
    assert told == ["A request failed, which is a fault of this program: ZeroDivisionError: division by zero."]
    assert b'fruits_requests_total{code="500",path="/predict"} 1.0' in serving.metrics.text()
