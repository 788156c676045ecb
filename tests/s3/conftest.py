"""Servers, buckets and environments. `FRUITS_MINIO` and `FRUITS_VERSITYGW` name the binaries."""

import os
import secrets
from collections.abc import Callable, Iterator

import pytest
from absent import absent
from s3_proxy import Fault, Proxy
from s3_servers import PROGRAMS, Server, program


@pytest.fixture(scope="session", params=sorted(PROGRAMS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server in turn: nothing may depend on one of them."""
    binary = program(request.param)
    if binary is None:
        absent(f"no {request.param} on this machine: put it on the path or name it in {PROGRAMS[request.param]}")
    running = Server(request.param, binary, tmp_path_factory.mktemp(request.param) / secrets.token_hex(3))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Sets these AWS variables and no others."""

    def apply(environment: dict[str, str]) -> None:
        for key in [key for key in os.environ if key.startswith("AWS_")]:
            monkeypatch.delenv(key)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)

    return apply


@pytest.fixture
def bucket(server: Server, use: Callable[[dict[str, str]], None]) -> str:
    """An empty bucket of the server that the environment points to."""
    use(server.environment())
    return server.bucket()


@pytest.fixture
def behind_proxy(server: Server, use: Callable[[dict[str, str]], None]) -> Iterator[Callable[..., Proxy]]:
    """Puts a proxy before the server, and points the environment to it."""
    started: list[Proxy] = []

    def start(fault: Fault | None = None, *, latency: float = 0.0) -> Proxy:
        proxy = Proxy(server.port, latency=latency, fault=fault)
        proxy.__enter__()
        started.append(proxy)
        use(server.environment(proxy.endpoint))
        return proxy

    yield start
    for proxy in started:
        proxy.__exit__()
