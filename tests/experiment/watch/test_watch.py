"""`fruits predict --watch`: pictures that arrive, processes that are killed, and what is left in the folder."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyarrow import parquet
from running import Answer, clean_environment, free_port, fruits
from watching import MODEL, Arriving, Watching, events, kill_at_random, manifests

from job import load_model, storage
from job.errors import UserError
from job.experiment.watch import arrivals, watcher
from job.experiment.watch.ledger import SCHEMA, Ledger
from job.experiment.watch.meters import Meters
from job.experiment.watch.watcher import Watch
from job.report.console import Console
from job.vision.sample import sample_picture

BAD = {"empty": b"", "not_an_image": b"This is not a picture.", "truncated": sample_picture(0, 7)[:2000]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "live"


@pytest.fixture
def watch(tmp_path: Path, data: Path, out: Path) -> Iterator[Callable[..., Watching]]:
    started = []

    def start(*arguments: object) -> Watching:
        given = ("--data", data, "--out", out.parent, "--run-name", out.name, *arguments)
        started.append(Watching(tmp_path / "logs", *given))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@cache
def picture(number: int) -> bytes:
    return sample_picture(number % 3, 900 + number, split="test")


def write(path: Path, number: int) -> None:
    """Puts a picture there as a whole."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.name}")
    part.write_bytes(picture(number))
    part.replace(path)


def rows(out: Path) -> list[dict]:
    return parquet.read_table(out / "batches").to_pylist()


# ---- what is there


def test_once_predicts_what_is_there_as_the_model_does_and_the_next_time_what_is_new(
    watch: Callable[..., Watching], data: Path, out: Path
):
    for number in range(7):
        write(data / f"{number % 2}" / f"{number}.jpg", number)
    for reason, content in BAD.items():
        (data / f"{reason}.jpg").write_bytes(content)
    os.utime(data / "empty.jpg", (1_700_000_000, 1_700_000_000))
    answer = watch("--once").ended()
    assert (answer.code, answer.err) == (0, "")
    found = {row["ima"]: row for row in rows(out)}
    assert len(found) == len(rows(out)) == 10
    assert parquet.read_table(out / "batches").schema.equals(SCHEMA)
    for name, row in found.items():
        expected = load_model(MODEL).predict(data / name)
        assert (row["predicted_cat"], row["probability"], row["status"]) == (
            expected.category, expected.probability, expected.status,
        )  # fmt: skip
        assert row["size"] == (data / name).stat().st_size
        assert row["modified"].timestamp() == pytest.approx((data / name).stat().st_mtime, abs=2e-6)
    (line,) = events(answer, "predict")
    assert (line["batch"], line["pictures"], line["rejected"]) == ("1", "10", "3")
    assert float(line["arrival_to_prediction_p95"]) > float(line["arrival_to_prediction_median"]) > 0
    (told,) = manifests(out)
    assert told["statuses"] == {"ok": 7, "empty": 1, "not_an_image": 1, "truncated": 1}
    assert told["model"] == {"uri": str(MODEL), "digest": load_model(MODEL).digest}
    assert "_running.json" not in {path.name for path in out.iterdir()}

    write(data / "later.jpg", 8)
    again = watch("--once").ended()
    assert (again.code, again.err) == (0, "")
    assert events(again, "read_batches") == [
        {"event": "step", "operation": "read_batches", "split": "all", "pictures": "10"}
    ]
    assert [each["ima"] for each in parquet.read_table(out / "batches" / "0000000002.parquet").to_pylist()] == [
        "later.jpg"
    ]
    assert watch("--once").ended().code == 0
    assert len(rows(out)) == 11


def test_a_picture_that_is_replaced_is_predicted_again(watch: Callable[..., Watching], data: Path, out: Path):
    write(data / "a.jpg", 0)
    assert watch("--once").ended().code == 0
    write(data / "a.jpg", 1)
    assert watch("--once", "--reject-below", "1").ended().code == 0
    first, second = rows(out)
    assert (first["ima"], second["ima"]) == ("a.jpg", "a.jpg")
    assert first["modified"] < second["modified"]
    assert (first["status"], second["status"]) == ("ok", "unknown")
    assert [told["reject_below"] for told in manifests(out)] == [0.0, 1.0]


# ---- as they arrive


def arrive(data: Path, held_up: set[str], number: int) -> None:
    """A picture arrives. Every fifth is written in place, by halves; `held_up` gets the names of those that lay there
    by half for so long that they pass for whole, as happens where the machine is busy."""
    path = data / f"{number % 4}" / f"{number:04d}.jpg"
    if number % 5:
        write(path, number)
        return
    content = picture(number)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        begun = time.monotonic()
        file.write(content[:1500])
        file.flush()
        time.sleep(0.1)
        file.write(content[1500:])
    if time.monotonic() - begun > 0.9:
        held_up.add(path.relative_to(data).as_posix())


def test_every_picture_is_predicted_once_whenever_the_watch_is_killed(
    watch: Callable[..., Watching], data: Path, out: Path
):
    held_up: set[str] = set()
    with Arriving(partial(arrive, data, held_up), 0.05) as arriving:
        kill_at_random(lambda: watch("--every", "1s"), 2)
    answer = watch("--once").ended()
    assert (answer.code, answer.err) == (0, "")
    halves = [row for row in rows(out) if row["status"] == "truncated" and row["ima"] in held_up]
    found = [row for row in rows(out) if row not in halves]
    assert sorted(row["ima"] for row in found if row["status"] == "ok") == sorted(
        path.relative_to(data).as_posix() for path in data.rglob("*.jpg")
    )
    assert len(found) == arriving.count > 20
    expected = load_model(MODEL).predict([data / row["ima"] for row in found])
    assert [row["predicted_cat"] for row in found] == [each.category for each in expected]
    assert {path.stem for path in (out / "batches").iterdir()} == {path.stem for path in (out / "manifests").iterdir()}
    assert sum(told["pictures"] for told in manifests(out)) == arriving.count + len(halves)
    assert not list(out.rglob(".*"))


def test_a_picture_that_is_written_by_and_by_is_taken_as_a_whole_however_often_is_looked(
    watch: Callable[..., Watching], data: Path, out: Path
):
    write(data / "a.jpg", 0)
    running = watch("--every", "0.05s")
    running.wait_for(lambda: running.batches() == 1)
    content = picture(1)
    with (data / "b.jpg").open("wb") as file:
        for start in range(0, len(content), 1000):
            file.write(content[start : start + 1000])
            file.flush()
            time.sleep(0.2)
    running.wait_for(lambda: running.batches() > 1)
    assert running.end().code == 130
    assert [(row["ima"], row["status"]) for row in rows(out)] == [("a.jpg", "ok"), ("b.jpg", "ok")]


def test_a_watch_that_is_told_to_end_finishes_the_batch_in_hand(watch: Callable[..., Watching], data: Path, out: Path):
    """SIGTERM here; SIGINT, which tests/test_signals.py shows to be answered alike, while it starts."""
    for number in range(1100):
        write(data / f"{number:04d}.jpg", number % 6)
    running = watch("--every", "0.2s")
    running.wait_for(lambda: running.batches() >= 1)
    answer = running.end(signal.SIGTERM)
    assert answer.code == 130
    assert answer.sentence() == "Interrupted: nothing was left half-written."
    assert len(rows(out)) == 512 * len(events(answer, "predict"))
    assert len(events(answer, "predict")) < 3
    assert {path.name for path in out.iterdir()} == {"_progress.json", "batches", "manifests"}
    assert watch("--once").ended().code == 0
    assert len({row["ima"] for row in rows(out)}) == len(rows(out)) == 1100


def test_a_watch_that_is_told_to_end_while_it_starts_says_one_sentence(
    watch: Callable[..., Watching], data: Path, out: Path
):
    for number in range(20):
        write(data / f"{number}.jpg", number)
    running = watch()
    running.wait_for(lambda: "event=start" in running.said())
    for pause in (0.0, 0.3):
        time.sleep(pause)
        if running.process.poll() is None:
            answer = running.end(signal.SIGINT)
            assert (answer.code, answer.sentence()) == (130, "Interrupted: nothing was left half-written.")
        running = watch()
        running.wait_for(lambda running=running: "event=start" in running.said())
    assert running.end().code == 130
    assert watch("--once").ended().code == 0
    assert len(rows(out)) == 20


def test_a_watch_ends_whose_interruption_is_taken_for_a_fault_of_a_library_that_is_loaded(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As pyarrow takes it while it loads pandas: the watch went on for ever."""
    restore = Ledger.restore

    def swallowing(ledger: Ledger) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            raise AssertionError
        restore(ledger)

    monkeypatch.setattr(Ledger, "restore", swallowing)
    with pytest.raises(KeyboardInterrupt):
        execute(data, out, capsys)
    assert not (out / "_running.json").exists()


def test_a_second_watch_of_a_folder_is_refused_and_leaves_the_first_alone(
    watch: Callable[..., Watching], data: Path, out: Path
):
    write(data / "a.jpg", 0)
    running = watch("--every", "0.2s")
    running.wait_for(lambda: running.batches() == 1)
    refused = watch("--once").ended()
    assert refused.code == 2
    assert refused.sentence() == f"Another process is at work in '{out}': end it, or choose another --run-name."
    write(data / "b.jpg", 1)
    running.wait_for(lambda: running.batches() == 2)
    assert len(rows(out)) == 2


# ---- faults


def execute(data: Path, out: Path, capsys: pytest.CaptureFixture[str], *, once: bool = False) -> str:
    try:
        watcher.execute(
            Watch(str(data), str(out.parent), out.name, 0.05, once),
            load_model(MODEL),
            Console(terminal=False),
            None,
        )
    finally:
        said = capsys.readouterr().out
    return said


def test_a_store_that_does_not_work_is_waited_for_longer_each_time(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write(data / "a.jpg", 0)
    waited, calls, original = [], [], storage.list_images
    monkeypatch.setattr(watcher.Ending, "wait", lambda _, seconds: waited.append(seconds))
    monkeypatch.setattr(arrivals, "SETTLING", 0.0)

    def listing(uri: str) -> object:
        calls.append(uri)
        if len(calls) in (2, 3, 4, 6):
            raise UserError("The store does not answer.")
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(uri)

    monkeypatch.setattr(storage, "list_images", listing)
    with pytest.raises(KeyboardInterrupt):
        execute(data, out, capsys)
    assert [seconds for seconds in waited if seconds >= 1] == [1, 2, 4, 1]
    assert [row["status"] for row in rows(out)] == ["ok"]


def test_one_listing_is_followed_by_a_second_one_after_which_pictures_have_settled(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write(data / "a.jpg", 0)
    looks, original = [], storage.list_images

    def listing(uri: str) -> object:
        looks.append(time.monotonic())
        return original(uri)

    monkeypatch.setattr(storage, "list_images", listing)
    execute(data, out, capsys, once=True)
    first, second = looks
    assert second - first >= 1
    assert [row["status"] for row in rows(out)] == ["ok"]


def test_a_store_that_does_not_work_ends_a_watch_that_was_asked_for_one_listing(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(_: str) -> None:
        raise UserError("The store does not answer.")

    monkeypatch.setattr(storage, "list_images", fail)
    with pytest.raises(UserError, match="does not answer"):
        execute(data, out, capsys, once=True)


def test_a_watch_whose_folder_was_taken_over_ends(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(watcher, "_BEAT", 0.05)
    original = storage.list_images

    def listing(uri: str) -> object:
        claim = json.loads((out / "_running.json").read_bytes())
        (out / "_running.json").write_text(json.dumps({**claim, "attempt": "another"}), encoding="utf-8")
        return original(uri)

    monkeypatch.setattr(storage, "list_images", listing)
    with pytest.raises(UserError, match="Another process is at work"):
        execute(data, out, capsys)
    assert json.loads((out / "_running.json").read_bytes())["attempt"] == "another"


def test_pictures_that_another_batch_has_taken_are_not_predicted_twice(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As when an answer of the store is lost: the batch is there, and the watch does not know."""
    for number in range(3):
        write(data / f"{number}.jpg", number)
    original, lost = storage.create, []

    def create(uri: str, content: bytes) -> bool:
        made = original(uri, content)
        if uri.endswith(".parquet") and not lost:
            lost.append(uri)
            return False
        return made

    monkeypatch.setattr(storage, "create", create)
    execute(data, out, capsys, once=True)
    assert sorted(row["ima"] for row in rows(out)) == ["0.jpg", "1.jpg", "2.jpg"]
    assert [told["pictures"] for told in manifests(out)] == [3]


def answer_of(data: Path, out: Path, *arguments: object) -> Answer:
    given = ("--model", MODEL, "--data", data, "--out", out.parent, "--run-name", out.name, "--watch", "--once")
    return fruits("predict", *given, *arguments)


def test_the_folder_of_something_else_is_refused(data: Path, out: Path, tmp_path: Path):
    (tmp_path / "other").mkdir()
    assert answer_of(tmp_path / "other", out).code == 0
    answer = answer_of(data, out)
    assert (answer.code, answer.sentence()) == (
        2, f"The run 'live' in '{out.parent}' was begun with other pictures: choose another --run-name.",
    )  # fmt: skip


def test_addresses_that_nothing_can_arrive_at_are_told(data: Path, out: Path):
    answer = answer_of(data / "nowhere", out)
    assert (answer.code, answer.sentence()) == (1, f"'{data}/nowhere' is not there: check the address.")
    (data / "_pack.json").write_text("{}", encoding="utf-8")
    answer = answer_of(data, out)
    assert answer.code == 2
    assert "holds packed pictures, to which none are added" in answer.sentence()
    assert not out.exists()


def test_a_model_that_can_not_name_categories_is_told_before_anything_is_written(data: Path, out: Path):
    model = load_model(MODEL)
    model._chain = replace(model._chain, classifier=None)
    watch = Watch(str(data), str(out.parent), out.name, 1.0, True)
    with pytest.raises(UserError, match="has no classifier"):
        watcher.execute(watch, model, Console(terminal=False), None)
    assert not out.exists()


# ---- around it


def test_prometheus_is_told_of_pictures_rejects_and_times(watch: Callable[..., Watching], data: Path):
    port = free_port()
    write(data / "a.jpg", 0)
    write(data / "b.jpg", 1)
    (data / "c.jpg").write_bytes(b"This is not a picture.")
    running = watch("--every", "0.2s", "--metrics-port", port)
    running.wait_for(lambda: running.batches() >= 1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
        told = answer.read().decode()
    found = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert found["fruits_pictures_total", None] == 3
    assert found["fruits_pictures_rejected_total", "not_an_image"] == 1
    assert found["fruits_batches_total", None] == running.batches()
    assert found["fruits_arrival_to_prediction_seconds_count", None] == 3
    assert 0 < found["fruits_arrival_to_prediction_seconds_sum", None] < 300
    refused = watch("--run-name", "another", "--metrics-port", port).ended()
    assert refused.code == 2
    assert f"The metrics can't be told on 127.0.0.1:{port} (Address already in use)" in refused.sentence()


def test_who_has_read_the_line_of_a_batch_finds_it_in_the_metrics(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    write(data / "a.jpg", 0)
    told: list[str] = []
    console, meters = Console(terminal=False), Meters()
    monkeypatch.setattr(console, "step", lambda operation, *_, **__: told.append(operation))
    monkeypatch.setattr(meters, "batch", lambda *_: told.append("metrics"))
    watcher.execute(Watch(str(data), str(out.parent), out.name, 0.05, True), load_model(MODEL), console, meters)
    assert told == ["metrics", "predict"]


def test_a_watch_needs_neither_spark_nor_java(data: Path, out: Path):
    write(data / "a.jpg", 0)
    code = (
        "import sys\n"
        "from job.commands import main\n"
        "if __name__ == '__main__':\n"
        "    code = main.main(sys.argv[1:])\n"
        "    print('LOADED', *sorted(sys.modules))\n"
        "    sys.exit(code)"
    )
    given = ["--model", MODEL, "--data", data, "--out", out.parent, "--run-name", out.name, "--watch", "--once"]
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", *map(str, given)],
        env=clean_environment(PATH="/nowhere"),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    assert "job.experiment.watch.watcher" in loaded
    assert not {"pyspark", "py4j", "s3fs", "kubernetes", "rich"} & loaded
    assert [row["status"] for row in rows(out)] == ["ok"]
