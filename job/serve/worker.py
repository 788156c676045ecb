"""The process that predicts: it loads the model once, and answers one picture after another until its line ends.

It is forked off a process that has imported this module, so that it starts in a moment (`job.serve.workers`).
"""

import json
import os
import signal
import socket
import struct
from contextlib import suppress

from job.model import load_model
from job.model.predict import Model, Prediction
from job.threads import Threads

ASKED = struct.Struct("!IIdd")
"""What goes before pictures: their number, `top_k`, `reject_below` and `reject_unknown`."""
SIZE = struct.Struct("!Q")
"""A picture's number of bytes: those of all pictures go before the first one."""
ANSWERED = struct.Struct("!II")
"""What goes before an answer: the numbers of bytes of its status and of the rest."""

# Bytes that are read from the line at once: some pictures of a hundred pixels a side and what goes before them.
_READ = 1 << 16
# By how much the server itself goes first where all cores are busy: a request waits until it has looked at it
# (`half` of tests/benchmarks/serve.py).
_NICE = 5


def work(line: socket.socket, uri: str, digest: str) -> None:
    """Answers pictures with their predictions as JSON, until the line's other end closes.

    Pictures that are asked about together are answered together. The first answer comes unasked: its status is "ready",
    or "fault" with a sentence where the model can't be loaded or is not the one of that digest. The signals that end a
    server are for the process that serves: what is being predicted is finished.
    """
    os.nice(_NICE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError), Threads(), line, line.makefile("rb", _READ) as asked:
        model = _loaded(uri, digest)
        if isinstance(model, str):
            line.sendall(answer("fault", model.encode()))
            return
        line.sendall(answer("ready", b""))
        while len(head := asked.read(ASKED.size)) == ASKED.size:
            count, top_k, below, unknown = ASKED.unpack(head)
            sizes = asked.read(count * SIZE.size)
            if len(sizes) < count * SIZE.size:
                return
            pictures = [asked.read(size) for (size,) in SIZE.iter_unpack(sizes)]
            found = model.predict(pictures, top_k, reject_below=below, reject_unknown=unknown)
            line.sendall(b"".join(answer(each.status, as_json(each)) for each in found))


def answer(status: str, content: bytes) -> bytes:
    """An answer as it goes over the line."""
    return ANSWERED.pack(len(status), len(content)) + status.encode() + content


def as_json(prediction: Prediction) -> bytes:
    """What is said of a picture, as JSON."""
    return json.dumps(prediction.public(), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _loaded(uri: str, digest: str) -> Model | str:
    from job.errors import UserError

    try:
        model = load_model(uri)
    except UserError as error:
        return error.message
    if model.digest != digest:
        return f"The model '{uri}' has changed since this server was started: start it again."
    return model
