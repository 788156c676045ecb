"""`fruits run` from and to an object store, by a process of its own, with what can go wrong on the way."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from running import QUICK, Shared, clean_environment
from s3_proxy import Proxy
from s3_servers import Server, on_one

SETTINGS = (
    "--preset",
    "reference",
    "--words",
    "20",
    "--master",
    "local[2]",
    "--conf",
    f"spark.driver.extraJavaOptions={QUICK}",
)

pytestmark = pytest.mark.skipif(not shutil.which("java") and "CI" not in os.environ, reason="no Java on this machine")


def start(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    kept = {key: value for key, value in clean_environment().items() if not key.startswith("AWS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "job", *arguments],
        env={**kept, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class Ended(NamedTuple):
    code: int
    out: str
    err: str
    seconds: float


def fruits(environment: dict[str, str], *arguments: str, limit: float = 400) -> Ended:
    begun = time.monotonic()
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=limit)
    return Ended(process.returncode, out, err, time.monotonic() - begun)


def keys(server: Server, bucket: str, prefix: str = "") -> list[str]:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def read(server: Server, bucket: str, key: str) -> bytes:
    return bytes(server.client().get_object(Bucket=bucket, Key=key)["Body"].read())


def manifest(server: Server, bucket: str, run: str) -> dict[str, Any]:
    return dict(json.loads(read(server, bucket, f"{run}/manifest.json")))


def predictions(content: bytes) -> tuple[list[str], np.ndarray]:
    rows = list(csv.DictReader(content.decode().splitlines()))
    return [row["predicted_cat"] for row in rows], np.array([float(row["probability"]) for row in rows])


@pytest.fixture(scope="module")
def here(shared: Shared, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on folders. Pictures are named as there: which descriptors are the first words depends on names."""
    out = tmp_path_factory.mktemp("out")
    pictures = ("--train", sample / "Training", "--test", sample / "Test")
    answer = shared("run", *pictures, "--out", out, "--run-name", "here", *SETTINGS)
    assert answer.code == 0, answer.err
    return out / "here"


@pytest.fixture(scope="module")
def filled(server: Server, sample: Path) -> str:
    """A bucket with the pictures, put there by the command."""
    bucket = server.bucket()
    done = fruits(server.environment(), "upload", str(sample), f"s3://{bucket}/pictures")
    assert done.code == 0, done.err
    assert "90 files" in done.out
    assert "event=warning" not in done.out
    return bucket


# ---- runs that work: two at a time, as a run has two cores, each looked at by its tests

Runs = dict[str, "Future[Any]"]
# Each server has a run and an upload, and test_s3_store.py and test_s3_tools.py have all verbs, faults and sentences of
# each. What is the command's own work, whatever the store, is looked at on one; tests/faults has runs whose store is
# troubled and is started again.


@pytest.fixture(scope="module")
def runs(server: Server, filled: str, sample: Path) -> Iterator[Runs]:
    place, environment = f"s3://{filled}", server.environment()

    def there() -> Ended:
        return fruits(
            environment,
            "run",
            "--train",
            f"s3a://{filled}/pictures/Training",
            "--test",
            f"{place}/pictures/Test",
            "--out",
            f"{place}/out",
            "--run-name",
            "there",
            "--cache",
            f"{place}/cache",
            "--event-log",
            f"{place}/logs",
            *SETTINGS,
        )

    def uploaded() -> Ended:
        return fruits(environment, "upload", str(sample), f"{place}/pictures")

    def together() -> dict[str, Ended]:
        return two_at_once(server, filled, sample)

    work: dict[str, Callable[[], Any]] = {"there": there, "uploaded": uploaded}
    if server.kind == "minio":
        work["together"] = together
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(call) for name, call in work.items()}


def test_a_run_in_a_bucket_gives_what_the_same_run_gives_in_a_folder(
    server: Server, filled: str, runs: Runs, here: Path
):
    done = runs["there"].result()
    assert done.code == 0, done.err
    there = {key.removeprefix("out/there/") for key in keys(server, filled, "out/there/")}
    stages = {path for path in there if path.startswith("model/stages/")}  # their names are of this model alone
    assert stages
    assert there - stages == {
        path
        for path in (file.relative_to(here).as_posix() for file in here.rglob("*") if file.is_file())
        if not path.startswith("model/stages/")
    }
    found = manifest(server, filled, "out/there")
    assert {file["path"] for file in found["files"]} == there - {"manifest.json"}
    ours, theirs = (
        predictions((here / "predictions.csv").read_bytes()),
        predictions(read(server, filled, "out/there/predictions.csv")),
    )
    assert ours[0] == theirs[0]
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
    assert any(key.startswith("logs/") and "local-" in key for key in keys(server, filled, "logs/"))
    assert any(key.endswith(".parquet") for key in keys(server, filled, "cache/"))


def test_a_second_upload_sends_nothing(runs: Runs):
    done = runs["uploaded"].result()
    assert (done.code, done.err) == (0, "")
    assert "0 uploaded" in done.out
    assert "90 there already" in done.out


def two_at_once(server: Server, bucket: str, sample: Path) -> dict[str, Ended]:
    """Two runs at the same time into the same --out, neither of them named. One reads pictures of which one has 0 bytes
    and one vanishes between the listing and its reading, the other what was packed."""
    names = sorted(file.relative_to(sample).as_posix() for file in (sample / "Training").rglob("*.jpg"))
    for name in [*names, *(file.relative_to(sample).as_posix() for file in (sample / "Test").rglob("*.jpg"))]:
        content = b"" if name == names[1] else (sample / name).read_bytes()
        server.client().put_object(Bucket=bucket, Key=f"holes é+%/{name}", Body=content)
    gone = f"holes é+%/{names[0]}"

    def vanish(_number: int, method: str, path: str) -> None:
        if method == "GET" and path.endswith(names[0].replace(" ", "%20")):
            server.client().delete_object(Bucket=bucket, Key=gone)

    place, environment = f"s3://{bucket}", server.environment()
    pack = fruits(environment, "pack", f"{place}/pictures", f"{place}/packed")
    common = ("--out", f"{place}/both", *SETTINGS)
    with Proxy(server.port, fault=vanish) as proxy, ThreadPoolExecutor(2) as pool:
        both = {
            "holes": pool.submit(fruits, server.environment(proxy.endpoint), "run", "--data", f"{place}/holes é+%",
                                 "--no-classify", *common),
            "packed": pool.submit(fruits, environment, "run", "--data", f"{place}/packed", *common)}  # fmt: skip
        return {"pack": pack} | {name: future.result() for name, future in both.items()}


@on_one
def test_two_runs_at_the_same_time_do_not_touch_each_other(server: Server, filled: str, runs: Runs):
    together = runs["together"].result()
    assert [done.code for done in together.values()] == [0, 0, 0], together
    folders = sorted({key.split("/")[1] for key in keys(server, filled, "both/")})
    assert len(folders) == 2
    whole = 0
    for run in folders:
        found = manifest(server, filled, f"both/{run}")
        assert {file["path"] for file in found["files"]} | {"manifest.json"} == {
            key.removeprefix(f"both/{run}/") for key in keys(server, filled, f"both/{run}/")
        }
        whole += found["dataset"]["train"]["images"] == found["dataset"]["train"]["described"]
    assert whole == 1


@on_one
def test_packed_pictures_give_the_same(server: Server, filled: str, runs: Runs, here: Path):
    pack = runs["together"].result()["pack"]
    assert (pack.code, pack.err) == (0, "")
    assert "90 pictures" in pack.out
    (found,) = (key for key in keys(server, filled, "both/") if key.endswith("/predictions.csv"))
    same = predictions((here / "predictions.csv").read_bytes())[0]
    assert predictions(read(server, filled, found))[0] == same


@on_one
def test_an_object_that_vanished_and_one_of_0_bytes_are_listed_as_rejected(
    server: Server, filled: str, runs: Runs, sample: Path
):
    done = runs["together"].result()["holes"]
    assert done.code == 0, done.err
    names = sorted(file.relative_to(sample).as_posix() for file in (sample / "Training").rglob("*.jpg"))
    files = [key for key in keys(server, filled, "both/") if key.endswith("/rejected.csv")]
    rejected = [list(csv.reader(read(server, filled, key).decode().splitlines()))[1:] for key in files]
    assert sorted(rejected) == [[], [[names[0], "unreadable"], [names[1], "empty"]]]


# ---- runs that can't work, two at a time, once the others have ended


@pytest.fixture(scope="module")
def refused(server: Server, filled: str, runs: Runs) -> dict[str, Ended]:
    wait(runs.values())
    environment, place = server.environment(), f"s3://{filled}"
    usual = ("run", "--data", f"{place}/pictures", "--out", f"{place}/out", *SETTINGS)
    work = {
        "wrong key": ({**environment, "AWS_SECRET_ACCESS_KEY": "wrong"}, *usual),
        "wrong endpoint": ({**environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, *usual),
        "no bucket": (environment, "run", "--data", "s3://no-such-bucket-here/x", "--public-read", *SETTINGS),
        "no right": (server.reader(filled), "run", "--data", f"{place}/pictures", "--out", f"{place}/denied",
                     *SETTINGS)}  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        futures = {name: pool.submit(fruits, *arguments) for name, arguments in work.items()}
        return {name: future.result() for name, future in futures.items()}


@on_one
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong key", "AWS_SECRET_ACCESS_KEY"),
        ("wrong endpoint", "http://127.0.0.1:9"),
        ("no bucket", "no-such-bucket-here"),
        ("no right", "/denied"),
    ],
)
def test_wrong_settings_end_soon_with_one_sentence(refused: dict[str, Ended], name: str, said: str):
    done = refused[name]
    assert done.seconds < 25  # 15 s of the store's, and the start of two programs
    assert done.code in (1, 2)
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert said in done.err
    assert "Traceback" not in done.err


@on_one
def test_a_run_whose_results_everybody_may_read_warns(refused: dict[str, Ended]):
    warning = 'event=warning message="Everybody will be able to read the results (--public-read)."'
    assert {name for name, done in refused.items() if warning in done.out} == {"no bucket"}


@on_one
def test_without_the_right_to_write_nothing_is_begun(server: Server, filled: str, refused: dict[str, Ended]):
    assert f"s3://{filled}/denied" in refused["no right"].err
    assert not keys(server, filled, "denied/")


@on_one
def test_a_model_in_a_bucket_predicts_the_pictures_of_a_bucket_into_it(server: Server, filled: str):
    stored = Path(__file__).parents[1] / "model" / "data" / "v1" / "model"
    environment, bucket = server.environment(), f"s3://{filled}"
    for path in stored.rglob("*"):
        if path.is_file():
            key = f"models/first/model/{path.relative_to(stored).as_posix()}"
            server.client().put_object(Bucket=filled, Key=key, Body=path.read_bytes())
    given = ("predict", "--model", f"{bucket}/models/first", "--data", f"{bucket}/pictures")
    more = ("--out", f"{bucket}/predicted", "--run-name", "one", *SETTINGS[4:])
    done = fruits(environment, *given, *more)
    assert done.code == 0, done.err
    scored = ("categories.csv", "confusion_matrix.csv", "mistakes.csv", "report.html")
    names = sorted((*scored, "manifest.json", "predictions.csv", "rejected.csv"))
    assert sorted(keys(server, filled, "predicted/one/")) == [f"predicted/one/{name}" for name in names]
    found = manifest(server, filled, "predicted/one")
    assert found["dataset"]["described"] == 90
    assert found["accuracy"] >= 0.9
    cats, _ = predictions(read(server, filled, "predicted/one/predictions.csv"))
    # the same from the shell, without Spark
    named = fruits(environment, "predict", "--model", f"{bucket}/models/first", f"{bucket}/pictures")
    assert named.code == 0, named.err
    assert [line.split("\t")[1] for line in named.out.splitlines()] == cats
