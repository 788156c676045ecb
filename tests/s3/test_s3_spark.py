"""Spark's own files through S3A, with the few jars of the lock table: Parquet, models, event logs, binary files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from running import clean_environment
from s3_proxy import Proxy
from s3_servers import Server

PROGRAM = Path(__file__).with_name("spark_program.py")
PICTURES = {"a b.jpg": b"x" * 10, "a+b%20é🍎.jpg": b"x" * 20}

pytestmark = pytest.mark.skipif(not shutil.which("java") and "CI" not in os.environ, reason="no Java on this machine")


class Ran(NamedTuple):
    bucket: str
    seen: dict[str, Any]
    faults: int


def now_and_then(number: int, method: str, _path: str) -> str | None:
    return "503" if number % 29 == 0 and method in {"GET", "PUT"} else None


@pytest.fixture(scope="module")
def ran(server: Server) -> Ran:
    """Everything once, through a proxy that answers 503 now and then."""
    bucket = server.bucket()
    for name, content in PICTURES.items():
        server.client().put_object(Bucket=bucket, Key=f"data/{name}", Body=content)
    kept = {key: value for key, value in clean_environment().items() if not key.startswith("AWS_")}
    with Proxy(server.port, fault=now_and_then) as proxy:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), bucket],
            env={**kept, **server.environment(proxy.endpoint), "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-5_000:]
    return Ran(bucket, json.loads(done.stdout.splitlines()[-1]), proxy.seen["503"])


def keys(server: Server, bucket: str, prefix: str) -> list[str]:
    found = server.client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return [entry["Key"] for entry in found if not entry["Key"].endswith("/")]


@pytest.mark.parametrize("scheme", ["s3a", "s3"])
def test_tables_models_and_pictures_go_through_s3a(ran: Ran, scheme: str):
    assert ran.seen[scheme]["rows"] == 143
    assert ran.seen[scheme]["labels"] == [0.0, 1.0]
    assert [size for _, size in ran.seen[scheme]["pictures"]] == [10, 20]


@pytest.mark.parametrize("scheme", ["s3a", "s3"])
def test_parquet_is_committed_without_copies(ran: Ran, server: Server, scheme: str):
    success = server.client().get_object(Bucket=ran.bucket, Key=f"out é {scheme}/table/_SUCCESS")["Body"].read()
    assert json.loads(success)["committer"] == "magic"
    assert len([key for key in keys(server, ran.bucket, f"out é {scheme}/table/") if "part-" in key]) == 3
    assert not [key for key in keys(server, ran.bucket, "") if "_temporary" in key or "__magic" in key]


def test_a_write_that_failed_leaves_no_table(ran: Ran, server: Server):
    assert "failed" in ran.seen
    assert keys(server, ran.bucket, "failed/") == []


def test_the_event_log_is_in_the_bucket_and_has_no_key(ran: Ran, server: Server):
    found = [key for key in keys(server, ran.bucket, "logs/") if "/events_" in key]
    assert len(found) == 1
    text = server.client().get_object(Bucket=ran.bucket, Key=found[0])["Body"].read()
    assert b"SparkListenerEnvironmentUpdate" in text
    assert b"SparkListenerApplicationEnd" in text
    assert server.access_key.encode() not in text
    assert server.secret_key.encode() not in text


def test_sparks_files_went_through_passing_faults(ran: Ran):
    assert ran.faults > 5
