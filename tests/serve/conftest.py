"""A real `fruits serve` for tests, and a picture to ask it about."""

from collections.abc import Callable, Iterator

import pytest
from serving import V1, Server, start, stop


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = start()
    yield found
    stop(found)


@pytest.fixture
def served() -> Iterator[Callable[..., Server]]:
    """Starts servers with options of their own, which are stopped at the end."""
    started: list[Server] = []

    def begin(*arguments: object) -> Server:
        started.append(start(*arguments))
        return started[-1]

    yield begin
    for each in started:
        stop(each)


@pytest.fixture(scope="session")
def picture() -> bytes:
    return (V1 / "0.jpg").read_bytes()
