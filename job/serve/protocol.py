"""The protocol of a connection: HTTP/1.1 by uvicorn, for clients that are slow, endless or in a hurry as well."""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Most bytes without an end: of a request's line and headers, of trailers, of what else stands between pieces of a body.
_HEAD = 16 << 10
# Most requests of a connection that are sent before the first one is answered.
_AHEAD = 64


class _Whole(asyncio.Transport):
    """What uvicorn writes one answer to: the head waits for the body, and both go in one piece.

    A write of its own for the head would wake the client up twice, and cost as much as parsing the request does.
    """

    def __init__(self, answer: RequestResponseCycle) -> None:
        super().__init__()
        self._transport = answer.transport
        self._head = b""
        # Until the head is there.
        self._answer: RequestResponseCycle | None = answer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Uvicorn's: the head of the answer, or a piece of its body."""
        if self._answer is not None and self._answer.response_started:
            self._answer, self._head = None, bytes(data)
        elif self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Uvicorn's: nothing comes after this."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._transport.is_closing()


class Patient(HttpToolsProtocol):
    """Uvicorn's protocol, which closes connections whose headers are not whole within `seconds`, or are too large.

    An offer to go on in another protocol (`Upgrade`), as clients of HTTP/2 make it with each request, is not taken up.
    """

    seconds = 10.0

    _closing: asyncio.TimerHandle | None = None
    _declining = False
    # Whether the parser has got on, and how many bytes came since it last did.
    _got_on = False
    _open = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Asyncio's: a client is there."""
        super().connection_made(transport)
        self._closing = self.loop.call_later(self.seconds, transport.close)

    def data_received(self, data: bytes) -> None:
        """Asyncio's: a piece of one or more requests is there."""
        self._unset_keepalive_if_required()
        self._got_on = False
        self._feed(data)
        unasked = self.cycle is None or self.cycle.response_complete
        self._open = 0 if self._got_on else self._open + len(data)
        if self._open > _HEAD or len(self.pipeline) > _AHEAD:
            self._refuse("The headers of the request are too large.", unasked=unasked)
        if not unasked:
            self._wait_on()
        elif self._closing is None:
            self._closing = self.loop.call_later(self.seconds, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's: the client is gone."""
        self._wait_on()
        super().connection_lost(exc)

    def _wait_on(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _feed(self, data: bytes) -> None:
        while data and self.parser is not None:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self._decline()
            except httptools.HttpParserError:
                self._refuse("Invalid HTTP request received.", unasked=True)
                return
            else:
                return

    def _decline(self) -> None:
        """Reads on after the headers of a request with an offer, behind which the parser sees no body."""
        framing = [header for header in self.headers if header[0] in (b"content-length", b"transfer-encoding")]
        self.parser = httptools.HttpRequestParser(self)
        self._declining = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(b"%s: %s\r\n" % header for header in framing))
        self._declining = False

    def _refuse(self, said: str, *, unasked: bool) -> None:
        if unasked and not self.transport.is_closing():
            self.send_400_response(said)
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        """The parser's: a request begins."""
        if not self._declining:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """The parser's: a piece of the path."""
        if not self._declining:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's: a header."""
        if not self._declining:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The parser's: all headers are there."""
        self._got_on = True
        if not self._declining:
            super().on_headers_complete()
            if self.scope["method"] != "HEAD":  # whose answer is a head alone
                self.cycle.transport = _Whole(self.cycle)

    def on_body(self, body: bytes) -> None:
        """The parser's: a piece of the body."""
        self._got_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser's: the request is whole."""
        self._got_on = True
        if not self.parser.should_upgrade():
            super().on_message_complete()


def patient(seconds: float) -> type[asyncio.Protocol]:
    """The protocol, which gives each request so many seconds for its headers."""
    return type("Patient", (Patient,), {"seconds": seconds})
