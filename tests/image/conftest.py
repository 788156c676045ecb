"""The image that `.ci/image` builds. Without podman or without the image, a user's tests skip and those of CI fail."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import containers
import pytest
from absent import absent

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "s3"))
# what a machine without the right to raise limits needs
_CONF = containers.ROOT.parent / "shared" / "cluster" / "containers.conf"
if _CONF.is_file():
    os.environ.setdefault("CONTAINERS_CONF", str(_CONF))


@pytest.fixture(scope="module", autouse=True)
def image(request: pytest.FixtureRequest) -> None:
    if request.path.name == "test_image_source.py":
        return
    try:
        there = containers.tool("image", "inspect", containers.IMAGE).returncode == 0
    except FileNotFoundError:
        there = False
    if not there:
        absent(f"no image {containers.IMAGE} for {containers.TOOL} (.ci/image builds it)")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder on this machine that every uid may write to."""
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated pictures on this machine, readable by every uid."""
    from job.vision.sample import write_sample

    folder = tmp_path_factory.mktemp("mounted")
    write_sample(folder / "sample", categories=3, train_images=45, test_images=21)
    for path in (*folder.parents[:2], folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    return folder / "sample"


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A real S3 server on this machine's loopback."""
    import s3_servers

    binary = s3_servers.program("minio")
    if binary is None:
        absent("no minio on this machine")
    server = s3_servers.Server("minio", binary, tmp_path_factory.mktemp("minio") / "data")
    server.start()
    yield server
    server.stop()
