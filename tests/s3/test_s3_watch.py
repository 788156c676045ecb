"""`fruits predict --watch` on an object store that pictures arrive in, with kills and restarts of the server."""

import json
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from s3_servers import Server, on_one
from watching import MODEL, Arriving, Watching, events, kill_at_random

from job import load_model
from job.errors import UserError
from job.experiment.watch.ledger import VERSION, Ledger
from job.storage import RunFolder
from job.vision.sample import sample_picture


def picture(number: int) -> bytes:
    return sample_picture(number % 3, 900 + number, split="test")


class Bucket:
    """A bucket that pictures arrive in, and the batches of a watch."""

    def __init__(self, server: Server, name: str, logs: Path) -> None:
        self.server, self.name, self.logs = server, name, logs
        self.client = server.client()

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"new/{key}", Body=content)

    def watch(self, *arguments: object) -> Watching:
        place = ("--data", f"s3://{self.name}/new", "--out", f"s3://{self.name}/out", "--run-name", "live")
        return Watching(self.logs, *place, *arguments, environment=self.server.environment())

    def content(self, prefix: str) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"out/live/{prefix}")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}

    def rows(self) -> list[dict]:
        tables = [parquet.read_table(pa.BufferReader(data)) for data in self.content("batches/").values()]
        return pa.concat_tables(tables).to_pylist()


@pytest.fixture
def place(server: Server, bucket: str, tmp_path: Path) -> Bucket:
    return Bucket(server, bucket, tmp_path / "logs")


@on_one
def test_every_picture_of_a_bucket_is_predicted_once_whenever_the_watch_is_killed(place: Bucket):
    with Arriving(lambda number: place.put(f"{number % 3}/{number:04d}.jpg", picture(number)), 0.05) as arriving:
        kill_at_random(lambda: place.watch("--every", "0.3s"), 2)
    answer = place.watch("--once").ended()
    assert (answer.code, answer.err) == (0, "")
    rows = place.rows()
    assert sorted(row["ima"] for row in rows) == sorted(
        f"{number % 3}/{number:04d}.jpg" for number in range(arriving.count)
    )
    expected = load_model(MODEL).predict([picture(int(row["ima"][2:6])) for row in rows])
    assert [row["predicted_cat"] for row in rows] == [each.category for each in expected]
    told = [json.loads(data) for data in place.content("manifests/").values()]
    assert {each["file"]["path"] for each in told} == {
        key.removeprefix("out/live/") for key in place.content("batches/")
    }
    assert sum(each["pictures"] for each in told) == arriving.count > 20


@on_one
def test_a_store_that_goes_away_is_waited_for(place: Bucket):
    place.put("a.jpg", picture(0))
    running = place.watch("--every", "0.3s")
    running.wait_for(lambda: running.batches() == 1)
    place.server.stop()
    time.sleep(3)
    place.server.start()
    place.put("b.jpg", picture(1))
    running.wait_for(lambda: running.batches() == 2)
    assert running.end().code == 130
    assert sorted(row["ima"] for row in place.rows()) == ["a.jpg", "b.jpg"]


def test_a_replaced_object_is_predicted_again_and_a_bad_one_stops_nothing(place: Bucket):
    place.put("a.jpg", picture(0))
    place.put("empty.jpg", b"")
    place.put("text.jpg", b"This is not a picture.")
    answer = place.watch("--once").ended()
    assert (answer.code, answer.err) == (0, "")
    assert events(answer, "predict")[0]["rejected"] == "2"
    time.sleep(1.1)  # some stores tell seconds
    place.put("a.jpg", picture(1))
    assert place.watch("--once").ended().code == 0
    rows = place.rows()
    assert sorted((row["ima"], row["status"]) for row in rows) == [
        ("a.jpg", "ok"), ("a.jpg", "ok"), ("empty.jpg", "empty"), ("text.jpg", "not_an_image"),
    ]  # fmt: skip
    first, second = sorted((row for row in rows if row["ima"] == "a.jpg"), key=lambda row: row["modified"])
    assert second["predicted_cat"] == load_model(MODEL).predict(picture(1)).category
    assert (first["size"], second["size"]) == (len(picture(0)), len(picture(1)))


@on_one
def test_an_address_that_nothing_has_arrived_at_yet_is_watched(place: Bucket):
    answer = place.watch("--once").ended()
    assert (answer.code, answer.err) == (0, "")
    assert place.content("batches/") == {}


def test_a_claim_of_a_pod_that_is_gone_is_taken_over_once_it_is_silent(bucket: str):
    first = RunFolder(f"s3://{bucket}/out", "live", goes_on=True, silence=0.3)
    first.claim()
    first.begin({"watch": "x"})
    found = Ledger(first)
    found.restore()
    # the pod was another one
    claim = json.loads(first._claim)
    first._claim = json.dumps({**claim, "host": "fruits-predict-1", "place": "pod in fruits"}).encode()
    first._store.write_bytes(first.uri("_running.json"), first._claim)
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(0.05):
            first.renew()

    alive = threading.Thread(target=live)
    alive.start()
    with pytest.raises(UserError, match="Another process is at work"):  # with the first sign of life
        RunFolder(f"s3://{bucket}/out", "live", goes_on=True, silence=20).claim()
    stop.set()
    alive.join()
    second = RunFolder(f"s3://{bucket}/out", "live", goes_on=True, silence=0.3)
    second.claim()
    assert second.begun() == {"watch": "x"}
    with pytest.raises(UserError, match="Another process is at work"):
        first.renew()
    assert found.new(VERSION.empty_table()).num_rows == 0
