"""`fruits run` from and to an object store, by a process of its own, with what can go wrong on the way."""

import csv
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from running import QUICK, clean_environment
from s3_proxy import Proxy, every
from s3_servers import Server

from job.vision.sample import write_sample

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


def fruits(environment: dict[str, str], *arguments: str, limit: float = 170) -> Ended:
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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_sample(folder, categories=3, train_images=60, test_images=30)
    return folder


@pytest.fixture(scope="session")
def here(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Future[Path]"]:
    """The same run on a folder."""

    def run() -> Path:
        out = tmp_path_factory.mktemp("out")
        done = fruits({}, "run", "--data", str(pictures), "--out", str(out), "--run-name", "here", *SETTINGS)
        assert done.code == 0, done.err
        return out / "here"

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)


@pytest.fixture(scope="module")
def filled(server: Server, pictures: Path) -> str:
    """A bucket with the pictures, put there by the command."""
    bucket = server.bucket()
    done = fruits(server.environment(), "upload", str(pictures), f"s3://{bucket}/pictures")
    assert done.code == 0, done.err
    assert "90 files" in done.out
    assert "event=warning" not in done.out
    return bucket


# ---- runs that work: two at a time, as a run has two cores, each looked at by its tests

Runs = dict[str, "Future[Any]"]


@pytest.fixture(scope="module")
def runs(server: Server, filled: str, pictures: Path, tmp_path_factory: pytest.TempPathFactory,
         here: "Future[Path]") -> Iterator[Runs]:  # fmt: skip
    place, environment = f"s3://{filled}", server.environment()

    def there() -> Ended:
        return fruits(
            environment,
            "run",
            "--data",
            f"s3a://{filled}/pictures",
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

    def packed() -> tuple[Ended, Ended]:
        done = fruits(environment, "pack", f"{place}/pictures", f"{place}/packed")
        return done, fruits(
            environment, "run", "--data", f"{place}/packed", "--out", f"{place}/out", "--run-name", "packed", *SETTINGS
        )

    def uploaded() -> Ended:
        return fruits(environment, "upload", str(pictures), f"{place}/pictures")

    def shaken() -> bytes:
        own = Server(server.kind, server.binary, tmp_path_factory.mktemp("shaken") / secrets.token_hex(3))
        return shaken_run(own, pictures)

    def together() -> dict[str, Ended]:
        return two_at_once(server, filled, pictures)

    work: dict[str, Callable[[], Any]] = {
        "there": there, "packed": packed, "uploaded": uploaded, "shaken": shaken, "together": together}  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(call) for name, call in work.items()} | {"here": here}


def test_a_run_in_a_bucket_gives_what_the_same_run_gives_in_a_folder(server: Server, filled: str, runs: Runs):
    done, here = runs["there"].result(), runs["here"].result()
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


def test_packed_pictures_give_the_same(server: Server, filled: str, runs: Runs):
    pack, run = runs["packed"].result()
    assert (pack.code, pack.err) == (0, "")
    assert "90 pictures" in pack.out
    assert run.code == 0, run.err
    same = predictions((runs["here"].result() / "predictions.csv").read_bytes())[0]
    assert predictions(read(server, filled, "out/packed/predictions.csv"))[0] == same


def test_a_second_upload_sends_nothing(runs: Runs):
    done = runs["uploaded"].result()
    assert (done.code, done.err) == (0, "")
    assert "0 uploaded" in done.out
    assert "90 there already" in done.out


def shaken_run(server: Server, pictures: Path) -> bytes:
    """A run through a proxy that answers 503 to every seventh GET, from a server that restarts in the midst of it."""
    server.start()
    try:
        bucket = server.bucket()
        with Proxy(server.port, latency=0.02, fault=every(7, "503")) as proxy:
            environment = server.environment(proxy.endpoint)
            upload = fruits(environment, "upload", str(pictures), f"s3://{bucket}/pictures")
            assert upload.code == 0, upload.err
            process = start(
                environment,
                "run",
                "--data",
                f"s3://{bucket}/pictures",
                "--out",
                f"s3://{bucket}/out",
                "--run-name",
                "shaken",
                *SETTINGS,
            )
            assert process.stdout is not None
            assert process.stderr is not None
            told: list[str] = []
            reader = threading.Thread(target=lambda: told.extend(process.stdout or []), daemon=True)
            reader.start()
            limit = time.monotonic() + 100
            while not any("event=step operation=start_spark" in line for line in told) and time.monotonic() < limit:
                time.sleep(0.05)
            assert process.poll() is None
            server.stop()
            time.sleep(1.0)
            server.start()
            assert process.wait(170) == 0, process.stderr.read()
            assert proxy.seen["503"] > 5
            return read(server, bucket, "out/shaken/predictions.csv")
    finally:
        server.stop()


def test_passing_faults_and_a_restart_change_nothing(runs: Runs):
    same = predictions((runs["here"].result() / "predictions.csv").read_bytes())[0]
    assert predictions(runs["shaken"].result())[0] == same


def two_at_once(server: Server, bucket: str, pictures: Path) -> dict[str, Ended]:
    """Two runs at the same time into the same --out, neither of them named. One reads pictures of which one has 0 bytes
    and one vanishes between the listing and its reading."""
    names = sorted(file.relative_to(pictures).as_posix() for file in (pictures / "Training").rglob("*.jpg"))
    for name in [*names, *(file.relative_to(pictures).as_posix() for file in (pictures / "Test").rglob("*.jpg"))]:
        content = b"" if name == names[1] else (pictures / name).read_bytes()
        server.client().put_object(Bucket=bucket, Key=f"holes é+%/{name}", Body=content)
    gone = f"holes é+%/{names[0]}"

    def vanish(_number: int, method: str, path: str) -> None:
        if method == "GET" and path.endswith(names[0].replace(" ", "%20")):
            server.client().delete_object(Bucket=bucket, Key=gone)

    common = ("--out", f"s3://{bucket}/both", "--no-classify", *SETTINGS)
    with Proxy(server.port, fault=vanish) as proxy, ThreadPoolExecutor(2) as pool:
        both = {
            "holes": pool.submit(fruits, server.environment(proxy.endpoint), "run", "--data",
                                 f"s3://{bucket}/holes é+%", *common),
            "whole": pool.submit(fruits, server.environment(), "run", "--train", f"s3a://{bucket}/pictures/Training",
                                 "--test", f"s3://{bucket}/pictures/Test", *common)}  # fmt: skip
        return {name: future.result() for name, future in both.items()}


def test_two_runs_at_the_same_time_do_not_touch_each_other(server: Server, filled: str, runs: Runs):
    together = runs["together"].result()
    assert {name: done.code for name, done in together.items()} == {"holes": 0, "whole": 0}, together
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


def test_an_object_that_vanished_and_one_of_0_bytes_are_listed_as_rejected(
    server: Server, filled: str, runs: Runs, pictures: Path
):
    done = runs["together"].result()["holes"]
    assert done.code == 0, done.err
    names = sorted(file.relative_to(pictures).as_posix() for file in (pictures / "Training").rglob("*.jpg"))
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


def test_a_run_whose_results_everybody_may_read_warns(refused: dict[str, Ended]):
    warning = 'event=warning message="Everybody will be able to read the results (--public-read)."'
    assert {name for name, done in refused.items() if warning in done.out} == {"no bucket"}


def test_without_the_right_to_write_nothing_is_begun(server: Server, filled: str, refused: dict[str, Ended]):
    assert f"s3://{filled}/denied" in refused["no right"].err
    assert not keys(server, filled, "denied/")


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
    assert sorted(keys(server, filled, "predicted/one/")) == [
        f"predicted/one/{name}"
        for name in ("categories.csv", "confusion_matrix.csv", "manifest.json", "predictions.csv", "rejected.csv")
    ]
    found = manifest(server, filled, "predicted/one")
    assert found["dataset"]["described"] == 90
    assert found["accuracy"] >= 0.9
    cats, _ = predictions(read(server, filled, "predicted/one/predictions.csv"))
    # the same from the shell, without Spark
    named = fruits(environment, "predict", "--model", f"{bucket}/models/first", f"{bucket}/pictures")
    assert named.code == 0, named.err
    assert [line.split("\t")[1] for line in named.out.splitlines()] == cats
