"""The server: a socket, the application, and an end at which no answer is lost."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from job.errors import UserError
from job.serve.app import application
from job.serve.protocol import patient
from job.serve.serving import Serving

# Seconds that a connection without requests is kept: longer than a load balancer in front keeps it (60 as a rule), so
# that it is never this end that closes while a request is on its way.
_KEEP_ALIVE = 75
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn's, whose signals are answered by `run`, and which tells when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets=sockets)
        self._tell()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. UserError where that is not possible."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, proto)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(_BACKLOG)
        except BaseException:
            found.close()
            raise
    except OSError as error:
        raise UserError(
            f"The server can't listen at {host}:{port} ({error.strerror or error}): choose another --host or --port."
        ) from None
    return found


def run(serving: Serving, listening: socket.socket, *, drain: float, started: Callable[[], None]) -> bool:
    """Serves until SIGTERM or SIGINT; whether it was SIGINT.

    After the signal the server says for `drain` seconds that it is not ready, while it goes on to answer, so that
    whoever sends requests stops doing so. Then it takes on no connection any more, and ends when all requests that it
    has are answered.

    Parameters
    ----------
    serving
        What is served.
    listening
        The socket.
    drain
        Seconds.
    started
        Is called when requests are answered.

    """
    for name in ("uvicorn", "python_multipart"):  # what is wrong with a request is for its sender, not for the log
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        application(serving),
        http=patient(serving.limits.seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(serving.limits.seconds) + 5,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(_Server(config, started), serving, listening, drain))


async def _run(server: _Server, serving: Serving, listening: socket.socket, drain: float) -> bool:
    loop, interrupted = asyncio.get_running_loop(), False

    def stop(number: int) -> None:
        nonlocal interrupted
        if serving.draining:  # again: at once
            server.should_exit = True
            return
        interrupted, serving.draining = number == signal.SIGINT, True
        loop.call_later(0 if interrupted else drain, setattr, server, "should_exit", True)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    async with serving.workers.answering():
        await server.serve(sockets=[listening])
    return interrupted
