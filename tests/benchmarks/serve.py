"""`fruits serve` under load, beside a bare loop over `Model.predict` in as many processes.

`rate`   requests a second with every process busy, beside the bare loop, by turns; at least 0.8 of it
`half`   milliseconds of a request at half that rate: median and 99th percentile, which is at most 3 times the median
`soak`   memory of all processes of the server over `--soak` seconds at half the rate

    python tests/benchmarks/serve.py --model out/<run>/model --data pictures [--soak 600]

The client shares the cores with the server: what it takes is in all figures.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import psutil

PICTURES = 500
SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen
    port: int

    def memory(self) -> int:
        """Bytes of all processes, shared ones counted once."""
        line = psutil.Process(self.process.pid)
        return sum(each.memory_full_info().pss for each in [line, *line.children(recursive=True)])


@contextmanager
def served(model: str, workers: int) -> Iterator[Server]:
    command = [measure.fruits_command(), "serve", "--model", model, "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())
        assert found
        yield Server(process, int(found[1]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def bare(model: str, pictures: Sequence[bytes], seconds: float, begin: Any, found: Any) -> None:
    from job import load_model
    from job.threads import Threads

    loaded = load_model(model)
    with Threads():
        loaded.predict(pictures[0])
        begin.wait()
        count, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            loaded.predict(pictures[count % len(pictures)])
            count += 1
    found.put(count / seconds)


def bare_rate(model: str, pictures: Sequence[bytes], workers: int) -> float:
    """Pictures a second of a loop in so many processes."""
    context = multiprocessing.get_context("spawn")
    begin, found = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=bare, args=(model, pictures, SECONDS, begin, found)) for _ in range(workers)]
    for process in processes:
        process.start()
    total = sum(found.get() for _ in processes)
    for process in processes:
        process.join()
    return total


class Client:
    """A connection that is kept, for one request after another."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, picture: bytes) -> None:
        self._writer.write(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            % len(picture)
        )
        self._writer.write(picture)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = re.search(rb"content-length: (\d+)", head)
        assert length
        await self._reader.readexactly(int(length[1]))

    def close(self) -> None:
        self._writer.close()


async def busy_rate(port: int, pictures: Sequence[bytes], clients: int) -> float:
    """Requests a second with so many clients, each of which asks again when it has its answer."""
    count, end = 0, time.perf_counter() + SECONDS

    async def work(number: int) -> None:
        nonlocal count
        client = Client(port)
        await client.open()
        place = number
        while time.perf_counter() < end:
            await client.ask(pictures[place % len(pictures)])
            place += clients
            count += 1
        client.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work(number) for number in range(clients)))
    return count / (time.perf_counter() - begun)


async def steady(port: int, pictures: Sequence[bytes], rate: float, seconds: float) -> list[float]:
    """Milliseconds of requests that come at random moments, on average `rate` a second, whether or not the ones before
    have their answers."""
    free: list[Client] = []
    taken: list[float] = []
    tasks = set()
    draw = random.Random(1)

    async def one(number: int) -> None:
        begun = time.perf_counter()
        client = free.pop() if free else Client(port)
        if not hasattr(client, "_writer"):
            await client.open()
        await client.ask(pictures[number % len(pictures)])
        free.append(client)
        taken.append(1000 * (time.perf_counter() - begun))

    begun, moment, number = time.perf_counter(), 0.0, 0
    while moment < seconds:
        moment += draw.expovariate(rate)
        await asyncio.sleep(max(0.0, begun + moment - time.perf_counter()))
        task = asyncio.create_task(one(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
    await asyncio.gather(*tasks)
    for client in free:
        client.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a run or of its model")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    measure.add_results_option(parser)
    options = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(options.data.rglob("*.jpg"))[:PICTURES]]
    if not pictures:
        raise SystemExit(f"There are no pictures (*.jpg) in '{options.data}'.")
    rates: dict[str, list[float]] = {"bare": [], "http": []}
    for _ in range(options.repeats):
        rates["bare"].append(bare_rate(options.model, pictures, options.workers))
        with served(options.model, options.workers) as server:
            asyncio.run(busy_rate(server.port, pictures, 1))
            rates["http"].append(asyncio.run(busy_rate(server.port, pictures, 4 * options.workers)))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    figures: dict[str, Any] = {
        "workers": options.workers,
        "rate": {name: [round(value, 1) for value in values] for name, values in rates.items()},
        "http_over_bare": round(medians["http"] / medians["bare"], 3),
    }
    with served(options.model, options.workers) as server:
        asyncio.run(steady(server.port, pictures, medians["http"] / 2, 2))
        taken = asyncio.run(steady(server.port, pictures, medians["http"] / 2, 30))
        median, late = np.percentile(taken, [50, 99])
        figures["half"] = {"median_ms": round(median, 2), "p99_ms": round(late, 2), "ratio": round(late / median, 2)}
        if options.soak:
            asyncio.run(steady(server.port, pictures, medians["http"] / 2, min(60.0, options.soak / 10)))
            before = server.memory()
            count = len(asyncio.run(steady(server.port, pictures, medians["http"] / 2, options.soak)))
            after = server.memory()
            figures["soak"] = {"seconds": options.soak, "requests": count, "mib": [before >> 20, after >> 20]}
    print(json.dumps(figures, indent=2))
    measure.record("serve", figures, options.results)


if __name__ == "__main__":
    main()
