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
from running import clean_environment
from s3_proxy import Proxy, every
from s3_servers import Server

from job.imaging.sample import write_sample

SETTINGS = ("--preset", "reference", "--words", "20")

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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_sample(folder, categories=3, train_images=60, test_images=30)
    return folder


@pytest.fixture(scope="module")
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


def test_a_bucket_that_is_not_there_is_named(server: Server, filled: str):
    assert filled
    code, _, err = fruits(server.environment(), "run", "--data", "s3://no-such-bucket-here/x", *SETTINGS)
    assert code in (1, 2)
    assert "no-such-bucket-here" in err
    assert len(err.strip().splitlines()) == 1, err


def test_without_the_right_to_write_nothing_is_begun(server: Server, filled: str):
    code, _, err = fruits(server.reader(filled), "run", "--data", f"s3://{filled}/pictures", "--out",
                          f"s3://{filled}/denied", *SETTINGS)
    assert code in (1, 2)
    assert f"s3://{filled}/denied" in err
    assert len(err.strip().splitlines()) == 1, err
    assert not keys(server, filled, "denied/")
