from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_cluster import FakeCluster

from job.cluster import diagnosis, follow
from job.commands import main as cli


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    fake = FakeCluster(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig))
    monkeypatch.setattr(follow, "_POLL", 0.02)
    monkeypatch.setattr(follow, "_EVENTS_EVERY", 0.0)
    usual = diagnosis.patience
    monkeypatch.setattr(diagnosis, "patience", lambda start: usual(start)._replace(operator=start))
    yield fake
    fake.stop()


@pytest.fixture
def submit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `fruits submit` and gives exit code, output, and the last line of the error output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["submit", "--start-timeout", "0.3s", *arguments])
        said = capsys.readouterr()
        return code, said.out, (said.err.splitlines() or [""])[-1]

    return run
