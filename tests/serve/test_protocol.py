"""HTTP as clients speak it that are slow, endless, in a hurry or of another kind."""

import contextlib
import socket
import time

import psutil
import pytest

ASK = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 8 << 20


def connected(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=120)


def until_closed(client: socket.socket) -> bytes:
    """All that is answered before the server closes the connection."""
    answered = b""
    try:
        while part := client.recv(1 << 16):
            answered += part
    except ConnectionResetError:
        pass
    return answered


def answers(client: socket.socket, count: int) -> bytes:
    """What is answered until so many answers are there."""
    answered = b""
    while answered.count(b"HTTP/1.1 200 OK\r\n") < count or not answered.endswith(b"}"):
        part = client.recv(1 << 16)
        assert part, answered
        answered += part
    return answered


@pytest.mark.parametrize(
    ("begun", "again"),
    [
        (b"GET /", b"a" * 4096),
        (b"GET /healthz HTTP/1.1\r\nX: ", b"a" * 4096),
        (b"GET /healthz HTTP/1.1\r\nX", b"a" * 4096),
        (b"GET /healthz HTTP/1.1\r\n", b"X: a\r\n" * 600),
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", b"X: a\r\n" * 600),
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: ", b"a" * 4096),
        (ASK + b"Transfer-Encoding: chunked\r\n\r\n3;", b"a" * 4096),
    ],
    ids=["path", "value", "name", "headers", "trailers", "trailer", "extension"],
)
def test_what_has_no_end_is_cut_off(server, begun, again) -> None:
    sent = 0
    with connected(server) as client:
        try:
            client.sendall(begun)
            while sent < MOST:
                client.sendall(again)
                sent += len(again)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answered = until_closed(client)
    assert sent < MOST
    assert answered == b"" or answered.startswith(b"HTTP/1.1 400 ")
    assert server.ask("GET", "/healthz").code == 200


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b"\r\n"),
        (HEALTH, b"\r\n"),
        (b"GET /he", b"a"),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"a"),
    ],
    ids=["nothing but line breaks", "line breaks after a request", "a path", "a body that nobody wants"],
)
def test_what_comes_in_drops_is_given_up(served, first, again) -> None:
    server = served("--deadline", "1s")
    with connected(server) as client:
        client.sendall(first)
        client.settimeout(0.2)
        over = time.monotonic() + 60  # that is less than a connection without requests is kept
        closed = False
        while not closed and time.monotonic() < over:
            try:
                client.sendall(again)
                closed = not client.recv(1 << 16)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                closed = True
    assert closed


def test_a_connection_is_kept_for_the_next_request(server, picture) -> None:
    with connected(server) as client:
        for _ in range(3):
            client.sendall(ASK + b"Content-Length: %d\r\n\r\n" % len(picture) + picture)
            assert b'"status":"ok"' in answers(client, 1)


def test_an_answer_comes_in_one_piece_so_that_the_client_wakes_up_once(server, picture) -> None:
    with connected(server) as client:
        for _ in range(30):
            client.sendall(ASK + b"Content-Length: %d\r\n\r\n" % len(picture) + picture)
            assert client.recv(1 << 16).endswith(b"}")


def test_an_answer_without_a_body_does_not_wait_for_one(server) -> None:
    with connected(server) as client:
        for _ in range(2):
            client.sendall(HEALTH.replace(b"GET", b"HEAD"))
            answered = client.recv(1 << 16)
            assert answered.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answered.endswith(b"\r\n\r\n")


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(server, picture) -> None:
    asked = ASK + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    with connected(server) as client:
        client.sendall(asked + HEALTH + asked)
        answered = answers(client, 3)
    places = [answered.find(b"category"), answered.find(b'{"status":"ok"}'), answered.rfind(b"category")]
    assert places == sorted(places)


def test_a_flood_of_requests_that_do_not_wait_is_cut_off(server) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    for _ in range(5):
        with connected(server) as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(HEALTH * 20_000)
            assert until_closed(client).count(b"HTTP/1.1 200 ") < 20_000
    assert psutil.Process(server.process.pid).memory_info().rss - before < 32 << 20
    assert server.ask("GET", "/healthz").code == 200


def test_a_client_that_would_like_http_2_is_answered_in_http_1(server, picture) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    asked = ASK + upgrade + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    with connected(server) as client:
        for _ in range(2):
            client.sendall(asked)
            assert b'"status":"ok"' in answers(client, 1)


def test_a_client_that_asks_whether_it_may_send_is_told_so(server, picture) -> None:
    with connected(server) as client:
        client.sendall(ASK + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(picture))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(picture)
        assert b'"status":"ok"' in answers(client, 1)


def test_an_old_client_finds_the_end_of_the_answer_by_the_end_of_the_connection(server) -> None:
    with connected(server) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert until_closed(client).endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\xff HTTP/1.1",
        b"GET http://x HTTP/1.1",
        b"CONNECT x:80 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET / HTTP/9.9",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"GET / HTTP/1.1\r\nContent-Length: -1",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST /predict HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
    ],
    ids=repr,
)
def test_what_is_no_request_is_refused(server, head) -> None:
    with connected(server) as client:
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(1 << 16)[:10] == b"HTTP/1.1 4"
    assert server.ask("GET", "/healthz").code == 200
