"""Requests that nobody would send: no failure of the server, no process that dies, no growth of memory."""

import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

# A run of 10,000 takes some minutes: `schemathesis run http://.../openapi.json --max-examples 10000` with the options
# below.
EXAMPLES, RAW = 150, 3000


def memory(server) -> int:
    line = psutil.Process(server.process.pid)
    return sum(each.memory_full_info().uss for each in [line, *line.children(recursive=True)])


def test_requests_drawn_from_the_description_are_answered_as_it_says(server, tmp_path) -> None:
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    said = subprocess.run(
        [command, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--max-examples", str(EXAMPLES),
         "--seed", "1", "--generation-database", "none", "--continue-on-failure",
         # what is drawn is hardly ever a picture
         "--exclude-checks", "positive_data_acceptance"],
        capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout[-3000:]


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
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client, suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(4096)
                assert not answer.startswith(b"HTTP/1.1 500"), answer

    send(RAW // 3)
    processes, before = server.workers(), memory(server)
    send(RAW - RAW // 3)
    assert server.workers() == processes
    deadline = time.monotonic() + 30
    while memory(server) - before > 24 << 20 and time.monotonic() < deadline:
        time.sleep(0.5)  # what is left of a large picture is still being worked on
    assert memory(server) - before < 24 << 20
    assert server.predict(picture).code == 200
