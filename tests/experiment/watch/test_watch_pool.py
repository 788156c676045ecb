"""Processes that predict: as the model alone does, whatever ends one of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from running import clean_environment

from job import load_model
from job.errors import UserError
from job.experiment.watch import pool as pools
from job.experiment.watch.pool import Found, Pool, ReplacedError, Task
from job.model.batch import SCHEMA, predicted
from job.model.predict import Model, Rejection
from job.vision.sample import sample_picture

MODEL = Path(__file__).parents[2] / "model" / "data" / "v1" / "model"
NAMES = [f"{number:02d}.jpg" for number in range(20)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(sample_picture(number % 3, 300 + number, split="test"))
    (folder / "empty.jpg").touch()
    return folder


def task(data: Path, model: Path = MODEL) -> Task:
    return Task(str(model), load_model(model).digest, str(data))


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows, alike for pictures that were predicted together with others: sums differ in their last digit."""
    return [
        {name: round(value, 12) if isinstance(value, float) else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


def dies_of_07(task: Task, names: list[str]) -> Found:
    if "07.jpg" in names:
        os.kill(os.getpid(), signal.SIGSEGV)
    return pools._work(task, names)


def fails_at_07(task: Task, names: list[str]) -> Found:
    def failing(model: Model, root: str, names: list[str], rejection: Rejection) -> pa.Table:
        if "07.jpg" in names:
            raise RuntimeError("that nobody has thought of")
        return predicted(model, root, names, rejection)

    pools.predicted = failing
    return pools._work(task, names)


def fails_to_load(task: Task, names: list[str]) -> Found:
    def failing(_: str) -> Model:
        raise MemoryError

    pools.load_model = failing
    return pools._work(task, names)


def has_a_fault(*_: object) -> None:
    raise KeyError("an error that nobody has thought of")


def predicts_nothing(task: Task, names: list[str]) -> Found:
    def failing(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    model = pools._model(task)
    model.predict = failing
    return pools._work(task, names)


def always_dies(*_: object) -> None:
    os._exit(1)


def test_many_processes_answer_as_the_model_alone_does_in_the_order_that_was_asked(data: Path):
    names = [*reversed(NAMES), "empty.jpg", "nowhere.jpg"]
    with Pool(task(data), 2) as pool:
        found = pool.predict(names)
        again = pool.predict(names[:1])
    assert found.schema.equals(SCHEMA)
    assert rows(found) == rows(predicted(load_model(MODEL), str(data), names))
    assert rows(again) == rows(found)[:1]


SAID = "'07.jpg' could not be predicted, which is a fault of this program: RuntimeError: that nobody has thought of."


@pytest.mark.parametrize(("work", "said"), [(dies_of_07, []), (fails_at_07, [SAID])])
def test_a_picture_that_ends_its_process_or_makes_it_fail_is_named_and_the_others_are_predicted(
    work, said: list[str], data: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = rows(predicted(load_model(MODEL), str(data), NAMES))
    monkeypatch.setattr(pools, "_work", work)
    told: list[str] = []
    with Pool(task(data), 2, told.append) as pool:
        found = rows(pool.predict(NAMES))
        assert told == said
        assert rows(pool.predict(["07.jpg"]))[0]["status"] == "crashed"
        assert rows(pool.predict(NAMES[:5])) == expected[:5]
        assert not pool._broken
    assert [row["status"] for row in found if row["ima"] == "07.jpg"] == ["crashed"]
    assert [row for row in found if row["ima"] != "07.jpg"] == [row for row in expected if row["ima"] != "07.jpg"]


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (fails_to_load, "have too little memory for the model: give more"),
        (has_a_fault, "can't be used: KeyError: 'an error that nobody has thought of'"),
        (predicts_nothing, "can't be used: ZeroDivisionError: "),
    ],
)
def test_a_fault_that_is_no_picture_s_own_fails_all_of_them_and_none_is_called_crashed(
    work, said: str, data: Path, monkeypatch: pytest.MonkeyPatch
):
    with Pool(task(data), 2) as pool, monkeypatch.context() as patch:
        patch.setattr(pools, "_work", work)
        pool.warm()
        for names in (NAMES, NAMES[:1], NAMES):
            with pytest.raises(UserError, match=said):
                pool.predict(names)
    with Pool(task(data), 2) as pool:
        assert {row["status"] for row in rows(pool.predict(NAMES))} == {"ok"}


def test_a_process_that_was_killed_by_somebody_is_replaced(data: Path):
    with Pool(task(data), 2) as pool:
        before = pool.predict(NAMES)
        assert pool._executor is not None
        for process in list(pool._executor._processes.values()):
            os.kill(process.pid, signal.SIGKILL)
        assert rows(pool.predict(NAMES)) == rows(before)


def test_processes_end_when_their_parent_says_so_and_not_when_others_do(data: Path):
    with Pool(task(data), 2) as pool:
        before = pool.predict(NAMES)
        assert pool._executor is not None
        first, second = pool._executor._processes.values()
        told = f"import os; os.kill({first.pid}, 15); os.kill({second.pid}, 15)"
        subprocess.run([sys.executable, "-c", told], check=True)
        assert rows(pool.predict(NAMES)) == rows(before)
        first.terminate()
        first.join(30)
        assert first.exitcode == 1
        # the executor ends the second one, also where it is idle and gets no more work
        assert rows(pool.predict(NAMES)) == rows(before)
        assert not second.is_alive()


def test_processes_that_can_not_live_are_told(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pools, "_work", always_dies)
    with Pool(task(data), 1) as pool, pytest.raises(UserError, match="end before they have read a picture: give more"):
        pool.predict(NAMES[:3])


def test_another_model_at_the_address_is_told(data: Path):
    other = Task(str(MODEL), "another digest", str(data))
    with Pool(other, 1) as pool, pytest.raises(ReplacedError, match="was replaced meanwhile"):
        pool.predict(NAMES[:1])


def test_errors_of_the_store_are_those_of_the_process(data: Path, tmp_path: Path):
    with (
        Pool(Task(str(tmp_path / "none"), "d", str(data)), 1) as pool,
        pytest.raises(UserError, match="no model at"),
    ):
        pool.predict(NAMES[:1])


PROGRAM = """
import sys, time
from job import load_model
from job.experiment.watch.pool import Pool, Task
if __name__ == "__main__":
    model, data = sys.argv[1:]
    with Pool(Task(model, load_model(model).digest, data), 2) as pool:
        pool.predict([f"{number:02d}.jpg" for number in range(20)])
        print(*pool._executor._processes, flush=True)
        time.sleep(300)
"""


INTERRUPTED = """
import os, signal, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from job import load_model
from job.experiment.watch.pool import Pool, Task
start = ProcessPoolExecutor._spawn_process
def interrupted(self):
    start(self)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
ProcessPoolExecutor._spawn_process = interrupted
if __name__ == "__main__":
    # a signal may come by any thread, such as those of libraries
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    model, data = sys.argv[1:]
    with Pool(Task(model, load_model(model).digest, data), 2) as pool:
        pool.warm()
"""


def test_an_interruption_while_processes_are_started_leaves_none_to_be_waited_for(data: Path, tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program), str(MODEL), str(data)],
        env=clean_environment(PYTHONPATH=str(Path.cwd())),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_the_processes_end_when_the_one_that_started_them_is_killed(data: Path, tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    environment = clean_environment(PYTHONPATH=str(Path.cwd()))
    command = [sys.executable, str(program), str(MODEL), str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    numbers = process.stdout.readline().split()
    process.kill()
    process.wait()
    assert len(numbers) == 2
    limit = time.monotonic() + 120
    while (left := [number for number in numbers if alive(number)]) and time.monotonic() < limit:
        time.sleep(0.05)
    assert left == []


def alive(number: str) -> bool:
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
