"""The application behind HTTP: what each path answers, and what is said of requests that can't be answered."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from job.errors import UserError, tell
from job.model.predict import OK, UNKNOWN, Model
from job.serve.limits import BusyError, Limits, Load
from job.serve.metrics import CONTENT_TYPE, Metrics
from job.serve.openapi import description, page
from job.serve.workers import LateError, Workers

_CODES = {OK: 200, UNKNOWN: 200, "empty": 400, "too_large": 413, "not_an_image": 415, "not_supported": 415}
_UNUSABLE = 422
# Seconds after which it may be worth trying again.
_AGAIN = "1"
_CLOSE = {"Connection": "close"}


@dataclass
class Serving:
    """What the application serves, and how. `draining` is set when the server is about to stop."""

    model: Model
    workers: Workers
    limits: Limits
    top_k: int = 3
    reject_below: float = 0.0
    draining: bool = False
    load: Load = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.limits)
        self.metrics = Metrics(self.model.digest, lambda: self.load.pictures, lambda: self.workers.restarts)


class Refused(HTTPException):
    """A request that is not answered: code, a word for programs and a sentence for people."""

    def __init__(self, code: int, status: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, reason, dict(headers or {}))
        self.status = status


def application(serving: Serving) -> Starlette:
    """The application for a model."""
    routes = [
        Route("/", _page),
        Route("/predict", _predict, methods=["POST"]),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", _metrics),
        Route("/model", _model),
        Route("/openapi.json", _openapi),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Counted, serving=serving, paths={route.path for route in routes})],
        exception_handlers={HTTPException: _refusal, Exception: _failure},
    )
    app.router.redirect_slashes = False
    app.state.serving = serving
    return app


def _serving(request: Request) -> Serving:
    found: Serving = request.app.state.serving
    return found


# ---- what is answered


async def _predict(request: Request) -> Response:
    serving = _serving(request)
    begun = time.monotonic()
    deadline = begun + serving.limits.seconds
    try:
        top_k, reject_below = _asked(request, serving)
        async with _body(request, serving) as body:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "multipart/form-data":
                return await _several(
                    await _parts(request, body, serving.limits), top_k, reject_below, deadline, serving
                )
            (answer,) = await _answers([body], top_k, reject_below, deadline, serving)
            return JSONResponse(answer, _CODES.get(answer["status"], _UNUSABLE))
    except BusyError:
        raise Refused(
            503, "busy", "The server has as much to do as it takes on: try again soon.", {"Retry-After": _AGAIN}
        ) from None
    except LateError:
        raise Refused(
            503,
            "late",
            f"There was no answer within {serving.limits.seconds:g} seconds: try again soon.",
            {"Retry-After": _AGAIN},
        ) from None
    except UserError as error:  # no process can be started any more
        tell(error.message)
        raise Refused(503, "busy", "No process is there to predict: try again soon.", {"Retry-After": _AGAIN}) from None
    finally:
        serving.metrics.seconds.observe(time.monotonic() - begun)


async def _answers(
    pictures: Sequence[bytes], top_k: int, reject_below: float, deadline: float, serving: Serving
) -> list[dict[str, Any]]:
    """The answers to pictures, in their order."""
    with serving.load.waiting(len(pictures)):
        asked = [serving.workers.predict(picture, top_k, reject_below, deadline) for picture in pictures]
        found = await asyncio.gather(*asked, return_exceptions=True)  # none is left behind when one fails
    answers = []
    for answer in found:
        if isinstance(answer, BaseException):
            raise answer
        answers.append(answer)
        serving.metrics.pictures.labels(answer["status"]).inc()
    return answers


async def _several(
    parts: Sequence[tuple[str, bytes]], top_k: int, reject_below: float, deadline: float, serving: Serving
) -> Response:
    found = await _answers([content for _, content in parts], top_k, reject_below, deadline, serving)
    codes = {_CODES.get(answer["status"], _UNUSABLE) for answer in found}
    named = [{"picture": name, **answer} for (name, _), answer in zip(parts, found, strict=True)]
    # some could be used: each says for itself; none could, for one reason: that is the code
    code = 200 if 200 in codes else codes.pop() if len(codes) == 1 else 422
    return JSONResponse({"predictions": named}, code)


def _asked(request: Request, serving: Serving) -> tuple[int, float]:
    """The parameters `top_k` and `reject_below`. Raises Refused for others, and for values that they can't have."""
    top_k, reject_below = serving.top_k, serving.reject_below
    for name, text in request.query_params.multi_items():
        if name == "top_k":
            if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
                raise Refused(400, "wrong_parameter", f"top_k is '{text}': it must be a whole number of 1 or more.")
            top_k = int(text)
        elif name == "reject_below":
            try:
                reject_below = float(text)
            except ValueError:
                reject_below = -1.0
            if not 0 <= reject_below <= 1:
                raise Refused(400, "wrong_parameter", f"reject_below is '{text}': it must be a number from 0 to 1.")
        else:
            raise Refused(400, "wrong_parameter", f"There is no parameter '{name}': there are top_k and reject_below.")
    return top_k, reject_below


@asynccontextmanager
async def _body(request: Request, serving: Serving) -> AsyncIterator[bytes]:
    """Context manager: the body of a request, counted as held for as long as the context lasts.

    Raises Refused when it is too large, does not come in time, or its sender goes away; BusyError when too many bodies
    are held already.
    """
    limits, load, held = serving.limits, serving.load, 0
    large = Refused(413, "too_large", f"The body has more than the {limits.body} bytes that this server takes.", _CLOSE)
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limits.body:
        raise large
    parts: list[bytes] = []
    try:
        try:
            async with asyncio.timeout(limits.seconds):
                async for part in request.stream():
                    load.hold(len(part))
                    held += len(part)
                    if held > limits.body:
                        raise large
                    parts.append(part)
        except TimeoutError:
            raise Refused(
                408, "slow", f"The body did not come within {limits.seconds:g} seconds: send it again.", _CLOSE
            ) from None
        except ClientDisconnect:
            raise Refused(400, "gone", "The sender went away before the body was whole.", _CLOSE) from None
        yield b"".join(parts)
    finally:
        load.release(held)


async def _parts(request: Request, body: bytes, limits: Limits) -> list[tuple[str, bytes]]:
    """Names and contents of the pictures in a body of several parts."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_files=limits.pictures, max_fields=limits.pictures)
    parser.spool_max_size = limits.body + 1  # it is in memory already, and no file is written
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeError, AssertionError) as error:
        said = error.message if isinstance(error, MultiPartException) else "a part or the boundary is damaged"
        raise Refused(400, "wrong_body", f"The parts of the body can't be read: {said.rstrip('.')}.") from None
    found = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            found.append((value.filename or name, await value.read()))
    await form.close()
    if not found:
        raise Refused(400, "wrong_body", "The body has no picture: send each as a part with a file name.")
    return found


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> Response:
    serving = _serving(request)
    if serving.draining:
        raise Refused(503, "stopping", "The server is about to stop.", {"Retry-After": _AGAIN})
    if serving.load.pictures >= serving.limits.waiting:
        raise Refused(503, "busy", "The server has as much to do as it takes on.", {"Retry-After": _AGAIN})
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    return Response(_serving(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def _model(request: Request) -> Response:
    model = _serving(request).model
    return JSONResponse(
        {
            "digest": model.digest,
            "categories": list(model.categories),
            "facts": model.facts,
            "recipe": model.recipe,
            "versions": model.versions,
            "max_bytes": model.max_bytes,
        }
    )


async def _openapi(request: Request) -> Response:
    return JSONResponse(description(_serving(request).limits))


async def _page(request: Request) -> Response:
    serving = _serving(request)
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(page(serving.model, serving.limits), headers={"Content-Security-Policy": policy})


# ---- what is refused


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if isinstance(error, Refused):
        return JSONResponse({"status": error.status, "reason": error.detail}, error.status_code, headers)
    said = {
        404: ("unknown_path", "There is nothing at this path: see / for what there is."),
        405: ("wrong_method", f"This path answers {headers.get('Allow', 'other methods')} only."),
    }
    status, reason = said.get(error.status_code, ("refused", str(error.detail)))
    return JSONResponse({"status": status, "reason": reason}, error.status_code, headers)


async def _failure(_: Request, error: Exception) -> Response:
    tell(f"A request failed, which is a fault of this program: {type(error).__name__}: {error}.")
    return JSONResponse({"status": "failed", "reason": "The server failed: its log says more."}, 500, _CLOSE)


# ---- around all of it


class _Counted:
    """Counts answers, says that a connection ends where the server is about to stop, and adds what browsers ask for."""

    def __init__(self, app: ASGIApp, serving: Serving, paths: AbstractSet[str]) -> None:
        self._app, self._serving, self._paths = app, serving, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._serving.metrics.requests.labels(path, message["status"]).inc()
                headers = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
                if self._serving.draining and "connection" not in Headers(raw=headers):
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, counted)
