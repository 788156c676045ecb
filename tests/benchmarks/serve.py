"""`fruits serve` under load, beside a bare loop over `Model.predict` in as many processes.

`rate`   requests a second with every process busy, beside the bare loop, by turns; at least 0.8 of it
`half`   milliseconds of a request at half that rate: median and 99th percentile, which is at most 3 times the median
`soak`   memory of all processes of the server over `--soak` seconds at half the rate, which does not grow

    python tests/benchmarks/serve.py --model out/<run>/model --data pictures [--soak 600]

The client shares the cores with the server: what it takes is in all figures. How much CPU that is, and what the server
itself takes, stands beside them (`cpu_ms`, of one request), and the share of the bare loop which the server would reach
if the loop had no more CPU than the client leaves (`http_over_bare_beside_client`). Requests of a CPU second of the
server's processes beside pictures of a CPU second of the loop (`http_over_bare_by_cpu`) say the same of a machine that
does other things as well.
"""

import argparse
import json
import multiprocessing
import random
import re
import selectors
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import measure
import numpy as np
import psutil

PICTURES = 500
SECONDS = 10.0
# How often the soak notes the memory.
NOTES = 20


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen
    port: int

    def processes(self) -> list[psutil.Process]:
        """The server itself, and those below it."""
        line = psutil.Process(self.process.pid)
        return [line, *line.children(recursive=True)]

    def memory(self) -> int:
        """Bytes that these processes have written, each alone.

        Pages of libraries that they only read are left out: they count as a process's own as soon as the last other
        program that has loaded the same library ends.
        """
        return sum(written(each.pid) for each in self.processes())

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of the server itself, and of those below it."""
        front, *below = [sum(each.cpu_times()[:2]) for each in self.processes()]
        return front, sum(below)


def written(process: int) -> int:
    """Bytes of memory that a process has written and shares with none."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {name: int(size.split()[0]) << 10 for name, _, size in (line.partition(":") for line in lines)}
    return sizes["Private_Dirty"] + sizes["Swap"]


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
        count, end, cpu = 0, time.perf_counter() + seconds, time.process_time()
        while time.perf_counter() < end:
            loaded.predict(pictures[count % len(pictures)])
            count += 1
    found.put((count / seconds, (time.process_time() - cpu) / count))


def bare_rate(model: str, pictures: Sequence[bytes], workers: int) -> tuple[float, float]:
    """Pictures a second of a loop in so many processes, and CPU milliseconds of a picture."""
    context = multiprocessing.get_context("spawn")
    begin, found = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=bare, args=(model, pictures, SECONDS, begin, found)) for _ in range(workers)]
    for process in processes:
        process.start()
    each = [found.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rate for rate, _ in each), 1000 * statistics.mean(cpu for _, cpu in each)


class Connection:
    """A connection that is kept, for one request after another."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begun = 0.0
        self.refused = False
        self._came = b""

    def ask(self, request: bytes, begun: float) -> None:
        self.begun, self._came = begun, b""
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Reads what is there; whether the answer is whole."""
        self._came += self.socket.recv(1 << 16)
        head, found, body = self._came.partition(b"\r\n\r\n")
        if not found:
            return False
        self.refused = not head.startswith(b"HTTP/1.1 200 ")
        length = re.search(rb"content-length: (\d+)", head)
        assert length
        return len(body) == int(length[1])


@dataclass
class Load:
    """Requests from this process, which takes as little of the CPU as it can: one thread, plain sockets.

    Either so many clients, each of which asks again when it has its answer; or requests at random moments, on average
    `rate` a second, whether or not the ones before have their answers.
    """

    server: Server
    pictures: Sequence[bytes]
    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0
    # Of this process, of the server itself, and of those below it.
    cpu: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        self._requests = [head % len(picture) + picture for picture in self.pictures]
        self._asked = 0
        self._selector = selectors.DefaultSelector()

    def run(self, seconds: float, *, clients: int = 0, rate: float = 0.0) -> "Load":
        before, begun = self._cpu(), time.perf_counter()
        if clients:
            self._closed(begun + seconds, clients)
        else:
            self._open(begun, seconds, rate)
        self.seconds = time.perf_counter() - begun
        self.cpu = tuple(after - early for after, early in zip(self._cpu(), before, strict=True))
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()
        return self

    @property
    def rate(self) -> float:
        return len(self.milliseconds) / self.seconds

    @property
    def cpu_ms(self) -> dict[str, float]:
        """CPU milliseconds of a request, by who took them."""
        names = ("client", "server", "processes")
        return {name: round(1000 * found / self._asked, 3) for name, found in zip(names, self.cpu, strict=True)}

    def _cpu(self) -> tuple[float, ...]:
        return time.process_time(), *self.server.cpu()

    def _connection(self) -> Connection:
        connection = Connection(self.server.port)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _ask(self, connection: Connection, begun: float) -> None:
        connection.ask(self._requests[self._asked % len(self._requests)], begun)
        self._asked += 1

    def _answered(self, seconds: float | None) -> list[Connection]:
        """Connections whose answers came within so many seconds."""
        found = [key.data for key, _ in self._selector.select(seconds) if key.data.answered()]
        now = time.perf_counter()
        self.milliseconds += [1000 * (now - connection.begun) for connection in found if not connection.refused]
        self.refused += sum(connection.refused for connection in found)
        return found

    def _closed(self, end: float, clients: int) -> None:
        for _ in range(clients):
            self._ask(self._connection(), time.perf_counter())
        waiting = clients
        while waiting:
            for connection in self._answered(None):
                now = time.perf_counter()
                if now < end:
                    self._ask(connection, now)
                else:
                    waiting -= 1

    def _open(self, begun: float, seconds: float, rate: float) -> None:
        draw = random.Random(1)
        free: list[Connection] = []
        waiting, moment = 0, begun + draw.expovariate(rate)
        while waiting or moment < begun + seconds:
            now = time.perf_counter()
            while moment <= now and moment < begun + seconds:
                # a request counts from the moment at which it was due
                self._ask(free.pop() if free else self._connection(), moment)
                waiting, moment = waiting + 1, moment + draw.expovariate(rate)
            over = moment >= begun + seconds
            found = self._answered(None if over else max(0.0, moment - time.perf_counter()))
            free += found
            waiting -= len(found)


def rates(model: str, pictures: Sequence[bytes], workers: int, repeats: int) -> dict[str, Any]:
    """Pictures a second of the bare loop and of the server, by turns."""
    found: dict[str, list[float]] = {"bare": [], "http": []}
    loads, cpu = [], []
    for _ in range(repeats):
        rate, milliseconds = bare_rate(model, pictures, workers)
        found["bare"].append(rate)
        cpu.append(milliseconds)
        with served(model, workers) as server:
            Load(server, pictures).run(2, clients=1)
            loads.append(Load(server, pictures).run(SECONDS, clients=4 * workers))
            found["http"].append(loads[-1].rate)
    ratio = statistics.median(found["http"]) / statistics.median(found["bare"])
    of_server = [load.cpu_ms["server"] + load.cpu_ms["processes"] for load in loads]
    client = statistics.median(load.cpu[0] / load.seconds for load in loads) / multiprocessing.cpu_count()
    return {
        "rate": {name: [round(value, 1) for value in values] for name, values in found.items()},
        "http_over_bare": round(ratio, 3),
        "least": 0.8,
        "client_share_of_all_cores": round(client, 3),
        "http_over_bare_beside_client": round(ratio / (1 - client), 3),
        "http_over_bare_by_cpu": round(statistics.median(cpu) / statistics.median(of_server), 3),
        "cpu_ms": {"bare": round(cpu[-1], 3), **loads[-1].cpu_ms},
        "refused": sum(load.refused for load in loads),
    }


def half(model: str, pictures: Sequence[bytes], workers: int, rate: float, soak: float) -> dict[str, Any]:
    """Latency, and with `soak` the memory, at this rate."""
    figures: dict[str, Any] = {}
    with served(model, workers) as server:
        Load(server, pictures).run(2, rate=rate)
        load = Load(server, pictures).run(30, rate=rate)
        median, late = np.percentile(load.milliseconds, [50, 99])
        figures["half"] = {
            "rate": round(rate, 1),
            "median_ms": round(median, 2),
            "p99_ms": round(late, 2),
            "ratio": round(late / median, 2),
            "most": 3.0,
            "refused": load.refused,
            "cpu_ms": load.cpu_ms,
        }
        if soak:
            Load(server, pictures).run(min(60.0, soak / 10), rate=rate)
            notes, count = [server.memory()], 0
            for _ in range(NOTES):
                count += len(Load(server, pictures).run(soak / NOTES, rate=rate).milliseconds)
                notes.append(server.memory())
            figures["soak"] = {"seconds": soak, "requests": count, "mib": [round(note / 2**20, 1) for note in notes]}
    return figures


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
    figures: dict[str, Any] = {"workers": options.workers}
    figures |= rates(options.model, pictures, options.workers, options.repeats)
    rate = statistics.median(figures["rate"]["http"]) / 2
    figures |= half(options.model, pictures, options.workers, rate, options.soak)
    print(json.dumps(figures, indent=2))
    measure.record("serve", figures, options.results)


if __name__ == "__main__":
    main()
