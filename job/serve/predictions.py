"""`POST /predict`: a picture as the body, or several as a form, and what the model says of them."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence

from starlette.datastructures import Headers, QueryParams, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from job.errors import UserError
from job.model.predict import OK, UNKNOWN, Rejection
from job.serve.limits import BusyError, Holding, Limits
from job.serve.line import Answer
from job.serve.serving import AGAIN, CLOSE, Refused, Serving

PATH = "/predict"
_CODES = {OK: 200, UNKNOWN: 200, "empty": 400, "too_large": 413, "not_an_image": 415, "not_supported": 415}
_UNUSABLE = 422


class Predictions:
    """The answers to pictures, as an ASGI application: what a request costs beside the model counts here, so that
    nothing stands between it and the server that is not needed, and neither request nor response is made an object."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        begun = time.monotonic()
        try:
            code, body = await self._answered(scope, receive)
        except Refused as refused:
            await refused.response()(scope, receive, send)
            return
        except Exception as error:
            await self._serving.failed(error)(scope, receive, send)
            raise
        finally:
            self._serving.metrics.seconds.observe(time.monotonic() - begun)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Code and JSON of the answer to a request. Raises Refused where it is not answered."""
        serving, arrived = self._serving, False
        limits = serving.limits
        top_k, rejection = _asked(scope["query_string"], serving)
        length = kind = b""
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = value
            elif name == b"content-type":
                kind = value
        try:
            with serving.load.holding() as holding:
                async with asyncio.timeout(limits.seconds):
                    body = await _body(receive, length, limits, holding)
                    arrived = True
                    if kind.partition(b";")[0].strip().lower() == b"multipart/form-data":
                        parts = await _parts(Headers(scope=scope), body, limits)
                        return await self._several(parts, top_k, rejection)
                    (found,) = await self._answers([body], top_k, rejection)
                    return _CODES.get(found.status, _UNUSABLE), found.json
        except TimeoutError:
            late = f"within {limits.seconds:g} seconds"
            if arrived:
                raise Refused(503, "late", f"There was no answer {late}: try again soon.", AGAIN) from None
            raise Refused(408, "slow", f"The body did not come {late}: send it again.", CLOSE) from None
        except BusyError:
            said = "The server has as much to do as it takes on: try again soon."
            raise Refused(503, "busy", said, AGAIN) from None
        except UserError as error:  # no process can be started any more
            serving.warn(error.message)
            raise Refused(503, "busy", "No process is there to predict: try again soon.", AGAIN) from None

    async def _answers(self, pictures: Sequence[bytes], top_k: int, rejection: Rejection) -> list[Answer]:
        """The answers to pictures, in their order."""
        serving = self._serving
        with serving.load.waiting(len(pictures)):
            asked = [serving.workers.predict(picture, top_k, rejection) for picture in pictures]
            if len(asked) == 1:
                answers = [await asked[0]]
            else:
                found = await asyncio.gather(*asked, return_exceptions=True)  # none is left behind when one fails
                answers = []
                for answer in found:
                    if isinstance(answer, BaseException):
                        raise answer
                    answers.append(answer)
        for answer in answers:
            serving.metrics.picture(answer.status).inc()
        return answers

    async def _several(self, parts: Sequence[tuple[str, bytes]], top_k: int, rejection: Rejection) -> tuple[int, bytes]:
        found = await self._answers([content for _, content in parts], top_k, rejection)
        codes = {_CODES.get(answer.status, _UNUSABLE) for answer in found}
        named = [{"picture": name, **json.loads(answer.json)} for (name, _), answer in zip(parts, found, strict=True)]
        # some could be used: each says for itself; none could, for one reason: that is the code
        code = 200 if 200 in codes else codes.pop() if len(codes) == 1 else _UNUSABLE
        return code, bytes(JSONResponse({"predictions": named}).body)


def _asked(query: bytes, serving: Serving) -> tuple[int, Rejection]:
    """The parameters `top_k`, `reject_below` and `reject_unknown`.

    Raises Refused for others, and for values that they can't have.
    """
    top_k = serving.top_k
    if not query:
        return top_k, serving.rejection
    rejected = serving.rejection.asked()
    for name, text in QueryParams(query).multi_items():
        if name == "top_k":
            if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
                raise Refused(400, "wrong_parameter", f"top_k is '{text}': it must be a whole number of 1 or more.")
            top_k = int(text)
        elif name in rejected:
            rejected[name] = _fraction(name, text)
        else:
            there = f"there are {', '.join(['top_k', *rejected])}"
            raise Refused(400, "wrong_parameter", f"There is no parameter '{name}': {there}.")
    if rejected["reject_unknown"] and not serving.model.knows_unknown:
        said = "The model does not know how far a picture is from its categories: ask without reject_unknown."
        raise Refused(400, "wrong_parameter", said)
    return top_k, Rejection(*rejected.values())


def _fraction(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise Refused(400, "wrong_parameter", f"{name} is '{text}': it must be a number from 0 to 1.")
    return found


async def _body(receive: Receive, length: bytes, limits: Limits, holding: Holding) -> bytes:
    """The body of a request that says this of its length, counted as held.

    Raises Refused when it is too large or its sender goes away; BusyError when too many bytes are held already.
    """
    large = f"The body has more than the {limits.body} bytes that this server takes."
    if length.isdigit() and int(length) > limits.body:
        raise Refused(413, "too_large", large, CLOSE)
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "gone", "The sender went away before the body was whole.", CLOSE)
        part, more = message.get("body", b""), message.get("more_body", False)
        holding.add(len(part))
        if holding.bytes > limits.body:
            raise Refused(413, "too_large", large, CLOSE)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _parts(headers: Headers, body: bytes, limits: Limits) -> list[tuple[str, bytes]]:
    """Names and contents of the pictures in a body of several parts. Raises Refused for what is no such body."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, stream(), max_files=limits.pictures, max_fields=limits.pictures)
    parser.spool_max_size = limits.body + 1  # it is in memory already, and no file is written
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        said = error.message if isinstance(error, MultiPartException) else "a part or the boundary is damaged"
        raise Refused(400, "wrong_body", f"The parts of the body can't be read: {said.rstrip('.')}.") from None
    found = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            found.append((_text(value.filename or name), await value.read()))
    await form.close()
    if not found:
        raise Refused(400, "wrong_body", "The body has no picture: send each as a part with a file name.")
    return found


def _text(name: str) -> str:
    """A name as text that can be written down: the request says in which charset it is, and some of those give halves
    of a pair of surrogates, which become question marks."""
    return name.encode(errors="replace").decode()
