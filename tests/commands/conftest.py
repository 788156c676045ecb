"""The command in the test's own process."""

import os

import pytest
from made_up import benchmark_of, grid
from running import Answer

from job.benchmark.record import Benchmark
from job.commands import main as cli


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The command in this process, for what ends before any Spark is started."""
    for name in [name for name in os.environ if name.startswith("FRUITS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("job.engine.command_session.Jvm", lambda *_, **__: pytest.fail("a JVM was started"))

    def run(*arguments: object) -> Answer:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse's way out of --help and --version
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def benchmark() -> Benchmark:
    """1, 2 and 4 executors, two sizes, three repeats that differ by 2 %."""
    return benchmark_of(grid((1, 2, 4), (1000, 4000)), lambda point: 0.96 + 0.02 * point.repeat)
