"""`fruits run` from and to an object store, by a process of its own, with what can go wrong on the way."""

import csv
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import QUICK, clean_environment
from s3_proxy import Proxy, every
from s3_servers import Server

from job.imaging.sample import write_sample

SETTINGS = ("--preset", "reference", "--words", "20", "--conf", f"spark.driver.extraJavaOptions={QUICK}")

pytestmark = pytest.mark.skipif(not shutil.which("java") and "CI" not in os.environ, reason="no Java on this machine")


def start(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    kept = {key: value for key, value in clean_environment().items() if not key.startswith("AWS_")}
    return subprocess.Popen([sys.executable, "-m", "job", *arguments], env={**kept, **environment}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def fruits(environment: dict[str, str], *arguments: str, limit: float = 170) -> tuple[int, str, str]:
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=limit)
    assert process.returncode is not None
    return process.returncode, out, err


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
def here(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on a folder."""
    out = tmp_path_factory.mktemp("out")
    code, _, err = fruits({}, "run", "--data", str(pictures), "--out", str(out), "--run-name", "here", *SETTINGS)
    assert code == 0, err
    return out / "here"


@pytest.fixture(scope="module")
def filled(server: Server, pictures: Path) -> str:
    """A bucket with the pictures, put there by the command."""
    bucket = server.bucket()
    code, out, err = fruits(server.environment(), "upload", str(pictures), f"s3://{bucket}/pictures")
    assert code == 0, err
    assert "90 files" in out
    return bucket


def test_a_run_in_a_bucket_gives_what_the_same_run_gives_in_a_folder(server: Server, filled: str, here: Path):
    place = f"s3://{filled}"
    code, _, err = fruits(
        server.environment(), "run", "--data", f"s3a://{filled}/pictures", "--out", f"{place}/out", "--run-name",
        "there",        "--cache", f"{place}/cache", "--event-log", f"{place}/logs", *SETTINGS)
    assert code == 0, err
    there = {key.removeprefix("out/there/") for key in keys(server, filled, "out/there/")}
    stages = {path for path in there if path.startswith("model/stages/")}  # their names are of this model alone
    assert stages
    assert there - stages == {path for path in (file.relative_to(here).as_posix() for file in here.rglob("*")
                                                if file.is_file()) if not path.startswith("model/stages/")}
    found = manifest(server, filled, "out/there")
    assert {file["path"] for file in found["files"]} == there - {"manifest.json"}
    ours, theirs = predictions((here / "predictions.csv").read_bytes()), predictions(
        read(server, filled, "out/there/predictions.csv"))
    assert ours[0] == theirs[0]
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
    assert any(key.startswith("logs/") and "local-" in key for key in keys(server, filled, "logs/"))
    assert any(key.endswith(".parquet") for key in keys(server, filled, "cache/"))


def test_packed_pictures_give_the_same(server: Server, filled: str, here: Path):
    code, out, err = fruits(server.environment(), "pack", f"s3://{filled}/pictures", f"s3://{filled}/packed")
    assert (code, err) == (0, "")
    assert "90 pictures" in out
    code, _, err = fruits(server.environment(), "run", "--data", f"s3://{filled}/packed", "--out", f"s3://{filled}/out",
                          "--run-name", "packed", *SETTINGS)
    assert code == 0, err
    same = predictions((here / "predictions.csv").read_bytes())[0]
    assert predictions(read(server, filled, "out/packed/predictions.csv"))[0] == same


def test_a_second_upload_sends_nothing(server: Server, filled: str, pictures: Path):
    code, out, err = fruits(server.environment(), "upload", str(pictures), f"s3://{filled}/pictures")
    assert (code, err) == (0, "")
    assert "0 uploaded" in out
    assert "90 there already" in out


def test_passing_faults_and_a_restart_change_nothing(server: Server, filled: str, here: Path):
    with Proxy(server.port, latency=0.02, fault=every(7, "503")) as proxy:
        process = start(server.environment(proxy.endpoint), "run", "--data", f"s3://{filled}/pictures", "--out",
                        f"s3://{filled}/out", "--run-name", "shaken", *SETTINGS)
        assert process.stdout is not None
        told: list[str] = []
        reader = threading.Thread(target=lambda: told.extend(process.stdout or []), daemon=True)
        reader.start()
        limit = time.monotonic() + 100
        while not any("event=step operation=start_spark" in line for line in told) and time.monotonic() < limit:
            time.sleep(0.1)
        server.stop()
        time.sleep(1.0)
        server.start()
        assert process.wait(170) == 0, process.stderr.read() if process.stderr else ""
    assert predictions(read(server, filled, "out/shaken/predictions.csv"))[0] == predictions(
        (here / "predictions.csv").read_bytes())[0]


@pytest.fixture(scope="module")
def together(server: Server, filled: str, pictures: Path) -> dict[str, tuple[int, str]]:
    """Two runs at the same time into the same --out, neither of them named: exit code and errors of each. One reads
    pictures of which one has 0 bytes and one vanishes between the listing and its reading."""
    names = sorted(file.relative_to(pictures).as_posix() for file in (pictures / "Training").rglob("*.jpg"))
    for name in [*names, *(file.relative_to(pictures).as_posix() for file in (pictures / "Test").rglob("*.jpg"))]:
        content = b"" if name == names[1] else (pictures / name).read_bytes()
        server.client().put_object(Bucket=filled, Key=f"holes é+%/{name}", Body=content)
    gone = f"holes é+%/{names[0]}"

    def vanish(_number: int, method: str, path: str) -> None:
        if method == "GET" and path.endswith(names[0].replace(" ", "%20")):
            server.client().delete_object(Bucket=filled, Key=gone)

    common = ("--out", f"s3://{filled}/both", "--no-classify", *SETTINGS)
    with Proxy(server.port, fault=vanish) as proxy:
        runs = {
            "holes": start(server.environment(proxy.endpoint), "run", "--data", f"s3://{filled}/holes é+%", *common),
            "whole": start(server.environment(), "run", "--train", f"s3a://{filled}/pictures/Training", "--test",
                           f"s3://{filled}/pictures/Test", *common)}  # fmt: skip
        errors = {name: process.communicate(timeout=170)[1] for name, process in runs.items()}
    return {name: (process.returncode, errors[name]) for name, process in runs.items()}


def test_two_runs_at_the_same_time_do_not_touch_each_other(
    server: Server, filled: str, together: dict[str, tuple[int, str]]
):
    assert {name: code for name, (code, _) in together.items()} == {"holes": 0, "whole": 0}, together
    runs = sorted({key.split("/")[1] for key in keys(server, filled, "both/")})
    assert len(runs) == 2
    whole = 0
    for run in runs:
        found = manifest(server, filled, f"both/{run}")
        assert {file["path"] for file in found["files"]} | {"manifest.json"} == {
            key.removeprefix(f"both/{run}/") for key in keys(server, filled, f"both/{run}/")}
        whole += found["dataset"]["train"]["images"] == found["dataset"]["train"]["described"]
    assert whole == 1


def test_an_object_that_vanished_and_one_of_0_bytes_are_listed_as_rejected(
    server: Server, filled: str, together: dict[str, tuple[int, str]], pictures: Path
):
    assert together["holes"][0] == 0, together["holes"][1]
    names = sorted(file.relative_to(pictures).as_posix() for file in (pictures / "Training").rglob("*.jpg"))
    files = [key for key in keys(server, filled, "both/") if key.endswith("/rejected.csv")]
    rejected = [list(csv.reader(read(server, filled, key).decode().splitlines()))[1:] for key in files]
    assert sorted(rejected) == [[], [[names[0], "unreadable"], [names[1], "empty"]]]


@pytest.mark.parametrize(("change", "said"), [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
])
def test_wrong_settings_end_soon_with_one_sentence(server: Server, filled: str, change: dict[str, str], said: str):
    begun = time.monotonic()
    code, _, err = fruits({**server.environment(), **change}, "run", "--data", f"s3://{filled}/pictures", "--out",
                          f"s3://{filled}/out", *SETTINGS)
    assert time.monotonic() - begun < 25  # 15 s of the store's, and the start of two programs
    assert code in (1, 2)
    assert len(err.strip().splitlines()) == 1, err
    assert said in err
    assert "Traceback" not in err


def test_a_bucket_that_is_not_there_is_named_and_public_read_warns(server: Server, filled: str):
    assert filled
    code, out, err = fruits(server.environment(), "run", "--data", "s3://no-such-bucket-here/x", "--public-read",
                            *SETTINGS)
    assert code in (1, 2)
    assert "no-such-bucket-here" in err
    assert len(err.strip().splitlines()) == 1, err
    assert 'event=warning message="Everybody will be able to read the results (--public-read)."' in out


def test_without_the_right_to_write_nothing_is_begun(server: Server, filled: str):
    code, _, err = fruits(server.reader(filled), "run", "--data", f"s3://{filled}/pictures", "--out",
                          f"s3://{filled}/denied", *SETTINGS)
    assert code in (1, 2)
    assert f"s3://{filled}/denied" in err
    assert len(err.strip().splitlines()) == 1, err
    assert not keys(server, filled, "denied/")
