"""`fruits serve`: a saved model behind HTTP, for a robot or an app."""

import argparse
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from job.commands.options import add_model, console_of, duration, memory, number, positive, rejection_of
from job.cores import available_cores
from job.errors import UsageError, tell
from job.experiment.flags import add_settings, add_telling, settings_of, telling_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from job.model.predict import Model
    from job.report.console import Console

_LAST_PORT = 65_535
_SETTINGS = {"out": "where the runs are (default: out)", "debug": ""}
DESCRIPTION = (
    "Answers over HTTP what pictures show, without Spark and Java: POST /predict with a picture as the body, or with "
    "several as a form. The page at / says more. SIGTERM ends it when all that was asked is answered."
)
EXAMPLES = ("fruits serve --model out/monday --port 8080",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is served, where, and within which limits."""
    add_model(parser)
    add_settings(parser, _SETTINGS, config=False)
    about = {"quiet": "tell what goes wrong alone", "verbose": "tell each request: method, path, code, seconds"}
    add_telling(parser, about=about)
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="address to listen at (127.0.0.1: this machine alone)"
    )
    parser.add_argument("--port", type=number(0), default=8080, metavar="N", help="port (8080); 0 takes a free one")
    parser.add_argument("--workers", type=positive, metavar="N", help="processes that predict (one for each core)")
    parser.add_argument(
        "--top-k", type=positive, default=3, metavar="N", help="name the N most probable categories (3)"
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-body", type=memory, default=32, metavar="32m", help="largest body of a request (32m)")
    limits.add_argument(
        "--deadline", type=duration, default=10.0, metavar="10s", help="time for a body to come, and its answer (10s)"
    )
    limits.add_argument(
        "--queue", type=positive, metavar="N", help="pictures that wait before more are refused (64 a process)"
    )
    limits.add_argument(
        "--drain",
        type=duration,
        default=0.0,
        metavar="5s",
        help="time after SIGTERM in which requests are still taken on (none; 5s behind a Kubernetes service)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM, then 0. Raises UserError where that is not possible, KeyboardInterrupt for Ctrl-C."""
    if arguments.port > _LAST_PORT:
        raise UsageError(f"--port is {arguments.port}: it must be a whole number from 0 to {_LAST_PORT}.")
    model = _model(arguments)
    from job.serve import server
    from job.serve.limits import Limits
    from job.serve.serving import Serving
    from job.serve.workers import Workers

    asked, console = telling_of(arguments, os.environ), console_of(arguments, terminal=False)
    count = arguments.workers or available_cores()
    limits = Limits(body=arguments.max_body << 20, waiting=arguments.queue or 64 * count, seconds=arguments.deadline)
    with server.listen(arguments.host, arguments.port) as listening, Workers(model.uri, model.digest, count) as workers:
        warn = console.warning if asked["json"] else tell
        serving = Serving(model, workers, limits, arguments.top_k, rejection_of(arguments), warn=warn)
        if asked["verbose"]:
            serving.answered = _answered(console)
        started = console if asked["json"] else None
        interrupted = server.run(
            serving,
            listening,
            drain=arguments.drain,
            started=lambda: None if asked["quiet"] else _say(model, listening, count, started),
        )
    if interrupted:
        raise KeyboardInterrupt
    return 0


def _model(arguments: argparse.Namespace) -> "Model":
    from job.model import addresses

    model = addresses.loaded(arguments.model, settings_of(arguments, _SETTINGS, os.environ).out)
    if not model.classifies:
        raise UsageError(
            f"The model '{model.uri}' has no classifier, since its run was made with --no-classify: name another."
        )
    model.check(arguments.reject_unknown)
    return model


def _answered(console: "Console") -> "Callable[[str, str, int, float], None]":
    """Tells each answer. Where nobody reads that any more, requests are answered all the same."""

    def told(method: str, path: str, code: int, seconds: float) -> None:
        with suppress(OSError, ValueError):
            console.event("request", {"method": method, "path": path, "code": code, "seconds": seconds})

    return told


def _say(model: "Model", listening: "socket.socket", count: int, console: "Console | None") -> None:
    """Says that requests are answered, and where: an event where there is a console for it, else a sentence."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    if console is not None:
        url = f"http://{shown}:{port}/"
        facts = {"model": model.uri, "categories": len(model.categories), "url": url, "processes": count}
        console.event("serving", facts)
        return
    tell(
        f"Serving {model.uri} ({len(model.categories)} categories) at http://{shown}:{port}/ with {count} "
        f"{'process' if count == 1 else 'processes'}; Ctrl-C stops it."
    )
