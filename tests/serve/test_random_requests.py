"""Requests that nobody would send: no failure of the server, no process that dies, no growth of memory."""

import random
import socket
import time
from contextlib import suppress

from serving import drawn_requests

# `tests/benchmarks/random_requests.py` sends 10,000 of them.
EXAMPLES, RAW = 150, 3000


def test_requests_drawn_from_the_description_are_answered_as_it_says(server, tmp_path) -> None:
    processes = server.workers()
    said = drawn_requests(server.port, EXAMPLES, tmp_path)
    assert said.returncode == 0, said.stdout[-3000:]
    assert server.workers() == processes


def test_broken_and_random_bytes_on_the_wire_do_no_harm(server, picture) -> None:
    draw = random.Random(1)
    whole = (
        b"POST /predict?top_k=2 HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        % len(picture)
        + picture
    )

    def send(count: int) -> None:
        for _ in range(count):
            data = bytearray(whole)
            for _ in range(draw.randrange(1, 20)):
                data[draw.randrange(len(data) if draw.random() < 0.5 else 120)] = draw.randrange(256)
            if draw.random() < 0.3:
                del data[draw.randrange(len(data)) :]
            with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client, suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(4096)
                assert not answer.startswith(b"HTTP/1.1 500"), answer

    send(RAW // 3)
    processes, before = server.workers(), server.memory()
    send(RAW - RAW // 3)
    assert server.workers() == processes
    deadline = time.monotonic() + 120
    while server.memory() - before > 24 << 20 and time.monotonic() < deadline:
        time.sleep(0.5)  # what is left of a large picture is still being worked on
    assert server.memory() - before < 24 << 20
    assert server.predict(picture).code == 200
