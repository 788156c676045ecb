"""The application behind HTTP: what each path answers, and what is said of requests that can't be answered."""

import time
from collections.abc import Set as AbstractSet

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from job.serve.metrics import CONTENT_TYPE
from job.serve.openapi import description, page
from job.serve.predictions import PATH, Predictions
from job.serve.serving import AGAIN, Refused, Serving

_NOSNIFF = (b"x-content-type-options", b"nosniff")


def application(serving: Serving) -> ASGIApp:
    """The application for a model."""
    predictions = Predictions(serving)
    routes = [
        Route(PATH, predictions, methods=["POST"]),
        Route("/", _page),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", _metrics),
        Route("/model", _model),
        Route("/openapi.json", _openapi),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refusal, Exception: _failure})
    app.router.redirect_slashes = False
    app.state.serving = serving
    return _Counted(app, serving, predictions, {route.path for route in routes})


def _serving(request: Request) -> Serving:
    found: Serving = request.app.state.serving
    return found


# ---- what is answered beside predictions


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> Response:
    serving = _serving(request)
    if serving.draining:
        raise Refused(503, "stopping", "The server is about to stop.", AGAIN)
    if serving.load.pictures >= serving.limits.waiting:
        raise Refused(503, "busy", "The server has as much to do as it takes on.", AGAIN)
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    return Response(_serving(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def _model(request: Request) -> Response:
    serving = _serving(request)
    model = serving.model
    return JSONResponse(
        {
            "digest": model.digest,
            "categories": list(model.categories),
            "facts": model.facts,
            "recipe": model.recipe,
            "versions": model.versions,
            "max_bytes": model.max_bytes,
            "card": serving.card.text,
            "figures": serving.card.figures,
        }
    )


async def _openapi(request: Request) -> Response:
    return JSONResponse(description(_serving(request).limits))


async def _page(request: Request) -> Response:
    serving = _serving(request)
    host = request.headers.get("host", "")
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return HTMLResponse(page(serving.model, serving.limits, host), headers={"Content-Security-Policy": policy})


# ---- what is refused


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refused):
        return error.response()
    headers = dict(error.headers or {})
    said = {
        404: ("unknown_path", "There is nothing at this path: see / for what there is."),
        405: ("wrong_method", f"This path answers {headers.get('Allow', 'other methods')} only."),
    }
    status, reason = said.get(error.status_code, ("refused", str(error.detail)))
    return JSONResponse({"status": status, "reason": reason}, error.status_code, headers)


async def _failure(request: Request, error: Exception) -> Response:
    return _serving(request).failed(error)


# ---- around all of it


class _Counted:
    """Counts answers, says that a connection ends where the server is about to stop, and adds what browsers ask for.

    Requests for predictions go from here to what answers them: looking for their route would cost as much again.
    """

    def __init__(self, app: ASGIApp, serving: Serving, predictions: Predictions, paths: AbstractSet[str]) -> None:
        self._app, self._serving, self._predictions, self._paths = app, serving, predictions, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        serving, path, begun = self._serving, scope["path"], time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                if serving.answered is not None:
                    serving.answered(scope["method"], path, message["status"], time.monotonic() - begun)
                serving.metrics.request(path if path in self._paths else "other", message["status"]).inc()
                headers = [*message.get("headers", ()), _NOSNIFF]
                if serving.draining and "connection" not in Headers(raw=headers):
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        app = self._predictions if path == PATH and scope["method"] == "POST" else self._app
        await app(scope, receive, counted)
