"""A driver with two executors behind a proxy before a real store, and what an undisturbed run in it leaves."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from absent import absent

sys.path.insert(0, str(Path(__file__).parents[1] / "s3"))
from driving import House
from outcome import SETTINGS
from s3_proxy import Proxy
from s3_servers import PROGRAMS, Server, program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    binary = program("minio")
    if binary is None:
        absent(f"no MinIO on this machine: put it on the path or name it in {PROGRAMS['minio']}")
    running = Server("minio", binary, tmp_path_factory.mktemp("minio"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Proxy]:
    """What the runs take for the store."""
    with Proxy(server.port) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(proxy: Proxy) -> Iterator[None]:
    """No fault of one test lasts into the next."""
    yield
    proxy.be()


@pytest.fixture(scope="module")
def bucket(server: Server, sample: Path) -> str:
    """A bucket with the sample."""
    name, client = server.bucket(), server.client()
    for file in sorted(sample.rglob("*.jpg")):
        key = f"sample/{file.relative_to(sample).as_posix()}"
        client.put_object(Bucket=name, Key=key, Body=file.read_bytes())
    return name


@pytest.fixture(scope="module")
def house(server: Server, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("workers")
    decommissioned = ("spark.decommission.enabled=true", "spark.storage.decommission.enabled=true")
    with House(folder, server.environment(proxy.endpoint), *decommissioned) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(house: House, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run to which nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed")
    answer = house.begin("run", "--data", sample, "--out", out, "--run-name", "calm", *SETTINGS).ended(240)
    assert answer.code == 0, answer.err
    return out / "calm"
