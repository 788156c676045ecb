"""`fruits serve` asked at random: ten thousand requests that schemathesis draws from its description of itself, and as
many of broken pictures, pictures cut short and broken HTTP. No answer 500, no process that dies, no growth of memory.

    python tests/benchmarks/random_requests.py [--model out/<run>/model] [--requests 10000]

Some minutes. Without --model, the small one of the tests is served.
"""

import argparse
import json
import random
import re
import socket
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import measure

sys.path[:0] = [str(Path(__file__).parents[1] / "serve"), str(Path(__file__).parents[1])]
from serving import MODEL, V1, Server, drawn_requests, start, stop  # noqa: E402

# Schemathesis draws about so many requests in all for each that is asked for of a kind.
ROUNDS = 5


def counted(server: Server) -> Counter[str]:
    """Requests by code, as the server counts them."""
    text = server.ask("GET", "/metrics").body.decode()
    found: Counter[str] = Counter()
    for code, count in re.findall(r'^fruits_requests_total\{code="(\d+)",path="[^"]*"\} (\S+)$', text, re.MULTILINE):
        found[code] += int(float(count))
    return found


def drawn(server: Server, requests: int) -> int:
    """Has schemathesis draw requests until so many were answered; returns how many were."""
    before, seed = counted(server).total(), 0
    while (done := counted(server).total() - before) < requests:
        seed += 1
        with tempfile.TemporaryDirectory() as folder:
            said = drawn_requests(server.port, max(50, (requests - done) // ROUNDS), Path(folder), seed=seed)
        if said.returncode:
            raise SystemExit(said.stdout[-5000:])
    return done


def broken(server: Server, requests: int) -> int:
    """Sends a request with changed bytes, or cut short, so many times; how many had no answer at all."""
    draw, silent = random.Random(1), 0
    pictures = [path.read_bytes() for path in sorted(V1.glob("*.jpg"))]
    for _ in range(requests):
        picture = draw.choice(pictures)
        head = b"POST /predict?top_k=2 HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        data = bytearray(head % len(picture) + picture)
        for _ in range(draw.randrange(1, 20)):
            data[draw.randrange(len(data) if draw.random() < 0.5 else 120)] = draw.randrange(256)
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        answer = b""
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client, suppress(OSError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
        silent += not answer
    return silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL), help="folder of a run or of its model")
    parser.add_argument("--requests", type=int, default=10_000)
    measure.add_results_option(parser)
    options = parser.parse_args()
    server = start("--model", options.model)
    try:
        drawn(server, options.requests // 10)  # caches fill
        processes, memory = server.workers(), [server.memory()]
        done = drawn(server, options.requests)
        memory.append(server.memory())
        silent = broken(server, options.requests)
        memory.append(server.memory())
        codes = counted(server)
        figures: dict[str, Any] = {
            "drawn": done,
            "broken": options.requests,
            "broken_without_answer": silent,
            "codes": dict(sorted(codes.items())),
            "failures": codes["500"],
            "processes_that_died": len(set(processes) - set(server.workers())),
            "mib": [round(each / 2**20, 1) for each in memory],
        }
    finally:
        stop(server)
    print(json.dumps(figures, indent=2))
    measure.record("random_requests", figures, options.results)


if __name__ == "__main__":
    main()
