"""A small HTTP proxy before an S3 server: waits before each answer, answers with an error, or breaks connections.

Also a program of its own, so that benchmarks can put it in another process:
`python tests/s3/s3_proxy.py --upstream 9000 --port 9001 --latency 0.1`.
"""

import argparse
import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Container
from typing import Any, Self

STATUS = {
    "503": (b"503 Service Unavailable", b"<Code>SlowDown</Code><Message>Reduce your request rate.</Message>"),
    "403": (b"403 Forbidden", b"<Code>AccessDenied</Code><Message>Access denied.</Message>"),
    "400": (b"400 Bad Request", b"<Code>IncompleteBody</Code><Message>There were fewer bytes than told.</Message>"),
}

Fault = Callable[[int, str, str], str | None]
"""(number of the request, method, path) -> None, one of `STATUS`, "reset" (the server never hears of the request),
"cut" (within the answer) or "lost" (the server has done it, and its answer never comes)."""


class Proxy:
    """Runs in a thread of its own while the `with` block lasts.

    `latency` is waited for before each answer, in seconds. `seen` counts requests and faults, `heads` has the requests'
    headers. With `share_port` several processes may serve the same port.
    """

    def __init__(
        self,
        upstream: int,
        *,
        port: int = 0,
        latency: float | Callable[[], float] = 0.0,
        fault: Fault | None = None,
        share_port: bool = False,
    ) -> None:
        self.upstream = upstream
        self.port = port
        self.share_port = share_port
        self.be(fault, latency=latency)
        self.seen: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def be(self, fault: Fault | None = None, *, latency: float | Callable[[], float] = 0.0) -> None:
        """From now on, these faults happen and no others."""
        self.latency = latency if callable(latency) else lambda: latency
        self.fault = fault or (lambda _number, _method, _path: None)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=512, reuse_port=self.share_port or None
        )
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while head := await _head(reader):
                method, path, headers = _parse(head)
                if headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = _without_expect(head)
                body = await _body(reader, headers)
                self.seen["requests"] += 1
                self.heads.append(head)
                fault = self.fault(self.seen["requests"], method, path)
                if fault:
                    self.seen[fault] += 1
                if latency := self.latency():
                    await asyncio.sleep(latency)
                if fault == "reset":
                    _reset(writer)
                    return
                if fault in STATUS:
                    line, error = STATUS[fault]
                    answer = b"" if method == "HEAD" else b"<?xml version='1.0'?><Error>%b</Error>" % error
                    head = b"HTTP/1.1 %b\r\nContent-Type: application/xml\r\nContent-Length: %d" % (line, len(answer))
                    writer.write(head + b"\r\n\r\n" + answer)
                    continue
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self.upstream)
                upstream[1].write(head + body)
                if not await self._answer(method, upstream[0], writer, fault):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.seen["broken"] += 1  # by the client, by the server, or by the end of the test
        finally:
            for stream in [writer, *([upstream[1]] if upstream else [])]:
                stream.close()

    async def _answer(
        self, method: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str | None
    ) -> bool:
        """Passes one answer on; False when the connection is at its end."""
        head = await _head(reader)
        if not head:
            return False
        _, status, headers = _parse(head)
        while status == "100":
            head = await _head(reader)
            _, status, headers = _parse(head)
        has_body = method != "HEAD" and status not in {"204", "304"}
        body = await _body(reader, headers) if has_body else b""
        if fault == "lost":
            _reset(writer)
            return False
        if fault == "cut" and body:
            writer.write(head + body[: len(body) // 2])
            await writer.drain()
            await asyncio.sleep(0.02)
            _reset(writer)
            return False
        writer.write(head + body)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"


def every(number: int, kind: str, method: str = "GET") -> Fault:
    """A fault for each `number`-th request, of one method only (so that a list of them can be told apart)."""
    return lambda count, asked, _path: kind if count % number == 0 and asked == method else None


class FirstTime:
    """A fault for the first request of each method and path: what is asked again is answered."""

    def __init__(self, kind: str, methods: Container[str] = ("PUT", "POST", "DELETE")) -> None:
        self._kind, self._methods = kind, methods
        self._met: set[tuple[str, str]] = set()

    def __call__(self, _number: int, method: str, path: str) -> str | None:
        asked = (method, re.sub(r"uploadId=[^&]*", "uploadId", path))  # another try has an upload of its own
        if method not in self._methods or asked in self._met:
            return None
        self._met.add(asked)
        return self._kind


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    return words[0], words[1], headers


def _without_expect(head: bytes) -> bytes:
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            chunk = await reader.readexactly(size + 2)
            parts += [line, chunk]
            if size == 0:
                return b"".join(parts)
    return await reader.readexactly(int(headers.get("content-length", "0")))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST rather than FIN."""
    connection: Any = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    given = parser.parse_args()
    with Proxy(given.upstream, port=given.port, latency=given.latency) as proxy:
        print(proxy.port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
