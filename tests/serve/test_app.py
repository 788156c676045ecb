"""The application itself, when something in it fails."""

import asyncio
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from serving import MODEL

from job import load_model
from job.model.stored_card import MOST
from job.serve.app import application
from job.serve.limits import Limits
from job.serve.openapi import description
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


# ---- the model's card


def asked(serving: Serving, path: str) -> Any:
    """What GET answers, as JSON."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asyncio.run(application(serving)(scope, receive, send))
    assert sent[0]["status"] == 200
    return json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def served(folder: Path, told: list[str] | None = None) -> Serving:
    warn = (told if told is not None else []).append
    return Serving(load_model(folder), Failing(), Limits(), warn=warn)


def test_the_model_is_told_with_its_card_and_the_figures_in_it(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    figures = [{"dataset": {"split": "test"}, "metrics": [{"type": "calibration_error", "value": 0.0123}]}]
    (tmp_path / "model" / "README.md").write_text("# Pêche\n\nA model.\n", encoding="utf-8")
    (tmp_path / "model" / "eval_results.yaml").write_text(yaml.safe_dump(figures), encoding="utf-8")
    serving = served(tmp_path / "model")
    # what is served is what was read at the start
    (tmp_path / "model" / "README.md").write_text("another", encoding="utf-8")
    found = asked(serving, "/model")
    assert (found["card"], found["figures"]) == ("# Pêche\n\nA model.\n", figures)
    assert (found["digest"], found["categories"]) == (serving.model.digest, ["Corn", "Orange", "Raspberry"])
    known = description(Limits())["components"]["schemas"]["Model"]
    assert set(known["required"]) == set(known["properties"]) == set(found)


def test_a_model_without_a_card_is_told_without_one(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    told: list[str] = []
    found = asked(served(tmp_path / "model", told), "/model")
    assert found["card"] is found["figures"] is None
    assert told == []


def test_a_card_that_can_not_be_served_is_left_out_and_told(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    (tmp_path / "model" / "README.md").write_bytes(b"x" * (MOST + 1))
    told: list[str] = []
    assert asked(served(tmp_path / "model", told), "/model")["card"] is None
    (sentence,) = told
    assert sentence.startswith(f"'{tmp_path}/model/README.md' is left out of the card, because it has more than ")
