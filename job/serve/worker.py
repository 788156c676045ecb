"""The process that predicts: it loads the model once, and answers one picture after another until its pipe ends.

It is forked off a process that has imported this module, so that it starts in a moment (`job.serve.workers`).
"""

import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from job.model import load_model
from job.model.predict import Model
from job.threads import Threads


def work(pipe: Connection, uri: str, digest: str) -> None:
    """Answers `(picture, top_k, reject_below)` with the prediction as JSON values, until the pipe's other end closes.

    The first thing that is sent is a sentence, where the model can't be loaded or is not the one of that digest, or
    None. The signals that end a server are for the process that serves: what is being predicted is finished.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, OSError), Threads():
        model = _loaded(uri, digest)
        if isinstance(model, str):
            pipe.send(model)
            return
        pipe.send(None)
        while True:
            picture, top_k, reject_below = pipe.recv()
            pipe.send(_answer(model, picture, top_k, reject_below))


def _loaded(uri: str, digest: str) -> Model | str:
    from job.errors import UserError

    try:
        model = load_model(uri)
    except UserError as error:
        return error.message
    if model.digest != digest:
        return f"The model '{uri}' has changed since this server was started: start it again."
    return model


def _answer(model: Model, picture: bytes, top_k: int, reject_below: float) -> dict[str, Any]:
    return model.predict(picture, top_k, reject_below=reject_below).public()
