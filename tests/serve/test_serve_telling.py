"""What `fruits serve` tells with `-q`, `-v` and `--json`."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from running import clean_environment, free_port
from serving import DEADLINE, MODEL, Server


@contextmanager
def serving(*options: str, **variables: str) -> Iterator[Server]:
    """A server at a port that was free, once it is ready; its output is kept."""
    port = free_port()
    command = [sys.executable, "-m", "job", "serve", "--port", str(port), "--workers", "1", "--model", str(MODEL)]
    command += ["--deadline", DEADLINE]
    with subprocess.Popen(
        [*command, *options],
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        server = Server(process, port)
        try:
            limit = time.monotonic() + 180
            while not ready(server):
                assert process.poll() is None
                assert time.monotonic() < limit
                time.sleep(0.1)
            yield server
        finally:
            if process.poll() is None:
                process.kill()


def ready(server: Server) -> bool:
    """Whether it answers already, and that it is ready."""
    try:
        return server.ask("GET", "/readyz").code == 200
    except ConnectionError:
        return False


def said(server: Server) -> tuple[list[str], list[str]]:
    """Lines of output and error stream of a server that is told to end."""
    server.process.send_signal(signal.SIGTERM)
    out, err = server.process.communicate(timeout=180)
    assert server.process.returncode == 0, err
    return out.splitlines(), err.splitlines()


def test_requests_are_told_when_asked_for_and_a_path_makes_no_line_of_its_own(picture: bytes):
    with serving("-v") as server:
        begun = time.monotonic()
        server.predict(picture)
        waited = time.monotonic() - begun
        server.ask("GET", "/no%0Aevent=such")
        out, err = said(server)
    assert len(err) == 1
    assert err[0].startswith("fruits: Serving ")
    told = [re.fullmatch(r"event=request method=POST path=/predict code=200 seconds=(\d+\.\d+)", line) for line in out]
    assert [0 < float(one[1]) < waited for one in told if one] == [True]
    assert all(line.startswith("event=request method=") for line in out)
    assert any("code=404" in line for line in out)


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_quiet_server_tells_nothing_when_all_is_well(how: str, picture: bytes):
    given = {"FRUITS_QUIET": "1"} if how == "environment" else {}
    with serving(*(["-q"] if how == "option" else []), **given) as server:
        assert server.predict(picture).code == 200
        assert said(server) == ([], [])


def test_as_json_the_address_and_the_requests_are_objects(picture: bytes):
    with serving("--json", "-v") as server:
        server.predict(picture)
        out, err = said(server)
    assert err == []
    started, *requests = [json.loads(line) for line in out]
    assert started == {
        "event": "serving", "model": str(MODEL), "categories": 3, "url": f"http://127.0.0.1:{server.port}/",
        "processes": 1,
    }  # fmt: skip
    assert {"POST", "GET"} == {request["method"] for request in requests}
    assert requests[-1] | {"seconds": 0} == {
        "event": "request", "method": "POST", "path": "/predict", "code": 200, "seconds": 0,
    }  # fmt: skip


def test_requests_are_answered_where_nobody_reads_what_is_told(picture: bytes):
    with serving("-v") as server:
        server.process.stdout.close()
        for _ in range(3):
            assert server.predict(picture).code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(180) == 0
