"""Pictures that arrive while `fruits predict --watch` is killed: how soon each is predicted, and whether all are, once.

    python tests/benchmarks/watch.py --model out/<run>/model --data pictures [--pictures 5000] [--seconds 150] [--s3]

Copies of the pictures below `--data` arrive evenly over `--seconds` in a folder, or with `--s3` in a bucket of a MinIO
that is started for it. The watch is killed (SIGKILL) twice at random moments and started again at once, as a supervisor
does. Goals: none lost, none twice, and 95 % predicted within 5 s of their arrival, the pictures that arrived while
nobody watched included.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pyarrow as pa
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "s3"))


class Folder:
    """A folder that pictures arrive in."""

    def __init__(self, place: Path) -> None:
        self.data, self.out, self.environment = str(place / "new"), str(place / "out"), dict(os.environ)
        Path(self.data).mkdir()

    def put(self, name: str, content: bytes) -> None:
        part = Path(self.data, f".{name}")
        part.write_bytes(content)
        part.replace(Path(self.data, name))

    def batches(self) -> list[pa.Table]:
        return [parquet.read_table(path) for path in sorted(Path(self.out, "live", "batches").glob("*.parquet"))]

    def close(self) -> None:
        pass


class Bucket:
    """The same in a MinIO on loopback."""

    def __init__(self, place: Path) -> None:
        from s3_servers import Server, program

        binary = program("minio")
        if binary is None:
            raise SystemExit("There is no minio on this machine: name it in FRUITS_MINIO.")
        self._server = Server("minio", binary, place / secrets.token_hex(3))
        self._server.start()
        self._bucket, self._client = self._server.bucket(), self._server.client()
        self.data, self.out = f"s3://{self._bucket}/new", f"s3://{self._bucket}/out"
        self.environment = {**os.environ, **self._server.environment()}

    def put(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"new/{name}", Body=content)

    def batches(self) -> list[pa.Table]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="out/live/batches/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        contents = (self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read() for key in keys)
        return [parquet.read_table(pa.BufferReader(content)) for content in contents]

    def close(self) -> None:
        self._server.stop()


def arrive(
    place: Folder | Bucket, contents: list[bytes], count: int, seconds: float, arrived: dict[str, float]
) -> None:
    """Puts pictures there evenly over the time; notes when each was there."""
    begun = time.time()
    for number in range(count):
        time.sleep(max(0.0, begun + seconds * number / count - time.time()))
        name = f"{number:06d}.jpg"
        place.put(name, contents[number % len(contents)])
        arrived[name] = time.time()


def watch(place: Folder | Bucket, arguments: argparse.Namespace, log: Path) -> "subprocess.Popen[bytes]":
    command = [measure.fruits_command(), "predict", "--model", arguments.model, "--watch", "--data", place.data]
    command += ["--out", place.out, "--run-name", "live", "--every", arguments.every]
    with log.open("ab") as file:
        return subprocess.Popen(command, env=place.environment, stdout=file, stderr=file)


def seen(place: Folder | Bucket) -> dict[str, list[float]]:
    """When each picture was predicted, in seconds since 1970: once, if all is well."""
    found: dict[str, list[float]] = {}
    for table in place.batches():
        facts = json.loads(table.schema.metadata[b"fruits"])
        moment = datetime.fromisoformat(facts["predicted_at"]).timestamp()
        for name in table["ima"].to_pylist():
            found.setdefault(name, []).append(moment)
    return found


def killed_and_restarted(
    place: Folder | Bucket, arguments: argparse.Namespace, log: Path, alive: Callable[[], bool]
) -> list[float]:
    """Watches until nothing arrives any more and all is predicted; seconds at which the watch was killed."""
    draw = random.Random(arguments.seed)
    moments = sorted(draw.uniform(0.1, 0.9) * arguments.seconds for _ in range(arguments.kills))
    begun, process = time.monotonic(), watch(place, arguments, log)
    for moment in moments:
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        process.kill()
        process.wait()
        process = watch(place, arguments, log)
    while alive():
        time.sleep(0.2)
    limit = time.monotonic() + 120
    while len(seen(place)) < arguments.pictures and time.monotonic() < limit:
        time.sleep(1)
    process.terminate()
    process.wait()
    return moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a run or of its model")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=150.0, help="time over which they arrive")
    parser.add_argument("--every", default="2s", help="time between two listings")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills (random)")
    parser.add_argument("--s3", action="store_true", help="in a bucket of a MinIO, and not in a folder")
    measure.add_results_option(parser)
    arguments = parser.parse_args()
    arguments.seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    contents = [path.read_bytes() for path in sorted(arguments.data.rglob("*.jpg"))[:1000]]
    if not contents:
        raise SystemExit(f"There are no pictures (*.jpg) in '{arguments.data}'.")
    temporary = Path(tempfile.mkdtemp(prefix="watch-"))
    place = Bucket(temporary) if arguments.s3 else Folder(temporary)
    try:
        arrived: dict[str, float] = {}
        writer = threading.Thread(
            target=arrive, args=(place, contents, arguments.pictures, arguments.seconds, arrived), daemon=True
        )
        writer.start()
        moments = killed_and_restarted(place, arguments, temporary / "log", writer.is_alive)
        found = seen(place)
    finally:
        place.close()
        shutil.rmtree(temporary, ignore_errors=True)
    waits = [found[name][0] - moment for name, moment in arrived.items() if name in found]
    figures: dict[str, Any] = {
        "store": "minio" if arguments.s3 else "folder",
        "pictures": arguments.pictures,
        "seconds": arguments.seconds,
        "every": arguments.every,
        "killed_at": [round(moment, 1) for moment in moments],
        "lost": len(set(arrived) - set(found)),
        "twice": sum(len(times) > 1 for times in found.values()),
        "arrival_to_prediction": {
            f"p{percent}": round(float(np.percentile(waits, percent)), 3) for percent in (50, 95, 99, 100)
        },
        "most_p95": 5.0,
    }
    print(figures)
    measure.record("watch", figures, arguments.results)


if __name__ == "__main__":
    main()
