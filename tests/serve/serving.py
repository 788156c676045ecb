"""A real `fruits serve` in a process of its own, and the small model that it serves."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from running import clean_environment

V1 = Path(__file__).parents[1] / "model" / "data" / "v1"
MODEL = V1 / "model"
# Longer than any answer takes on a machine that does much else.
DEADLINE = "120s"


@dataclass
class Reply:
    """An answer over HTTP."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """The command in a process of its own."""

    process: subprocess.Popen
    port: int
    said: list[str] = field(default_factory=list)

    def connection(self, timeout: float = 120) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()

    def predict(self, body: Any, query: str = "", **headers: str) -> Reply:
        return self.ask("POST", f"/predict{query}", body, {"Content-Type": "image/jpeg", **headers})

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after that signal."""
        self.process.send_signal(number)
        return self.process.wait(180)

    def workers(self) -> list[int]:
        """Processes that predict: those below the fork server."""
        import psutil

        found = psutil.Process(self.process.pid).children(recursive=True)
        return [each.pid for each in found if each.ppid() != self.process.pid]

    def memory(self) -> int:
        """Bytes of all its processes that are theirs alone."""
        import psutil

        line = psutil.Process(self.process.pid)
        return sum(each.memory_full_info().uss for each in [line, *line.children(recursive=True)])


def start(*arguments: object) -> Server:
    command = [sys.executable, "-m", "job", "serve", "--port", "0", "--workers", "2", *map(str, arguments)]
    if "--model" not in arguments:
        command += ["--model", str(MODEL)]
    if "--deadline" not in arguments:
        command += ["--deadline", DEADLINE]
    process = subprocess.Popen(
        command, env=clean_environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr
    said: list[str] = []
    listening: Queue[int | None] = Queue()

    def read() -> None:
        with process.stderr:
            for line in process.stderr:
                said.append(line)
                if match := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                    listening.put(int(match[1]))
        listening.put(None)

    threading.Thread(target=read, daemon=True).start()
    port = listening.get(timeout=180)
    assert port is not None, f"the server ended: {''.join(said)}"
    return Server(process, port, said)


def stop(server: Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(120)
        except subprocess.TimeoutExpired:
            server.process.kill()
            raise
    assert not any("Traceback" in line for line in server.said), "".join(server.said)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids: Iterable[int]) -> bool:
    """Whether these processes are gone, which is waited for: who ends them need not wait until they have ended."""
    limit = time.monotonic() + 120
    while (left := any(map(alive, pids))) and time.monotonic() < limit:
        time.sleep(0.05)
    return not left


def drawn_requests(port: int, examples: int, folder: Path, *, seed: int = 1) -> subprocess.CompletedProcess:
    """Schemathesis, which draws so many requests of each kind from the description of a server and checks the answers;
    exit code 0 when all is well."""
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    return subprocess.run(
        [command, "run", f"http://127.0.0.1:{port}/openapi.json", "--max-examples", str(examples),
         "--seed", str(seed), "--generation-database", "none", "--continue-on-failure",
         # what is drawn is hardly ever a picture
         "--exclude-checks", "positive_data_acceptance",
         # how long anything takes is no matter
         "--suppress-health-check", "too_slow", "--request-timeout", DEADLINE.rstrip("s")],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
