"""Pictures damaged on purpose, through whole runs from a folder, packed files and a bucket.

    python tests/fuzz/bad_pictures.py --count 20000 --data fruits-360

Originals are generated and, with `--data`, taken from a folder as well. The bucket is one of MinIO, where that is on
the machine. None may crash a run, and none be lost. Each run has its peak of memory taken, and each picture's fate is
compared over the three. One JSON line is appended to `results/bad_pictures.jsonl`.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).resolve().parent.parent
sys.path += [str(TESTS), str(TESTS / "s3"), str(TESTS / "benchmarks")]

from accounts import dangers, fates, put, write  # noqa: E402
from measure import record  # noqa: E402
from mutations import generated, mutated, real  # noqa: E402
from running import Results, clean_environment  # noqa: E402
from s3_servers import Server, program  # noqa: E402

SETTINGS = ("--features", "sift:counts:20+orb:counts:20+hsv+lbp+patches:patches:20", "--classifier", "logistic",
            "--max-bad-fraction", "1")  # fmt: skip
RESULTS = Path(__file__).parent / "results"


def run(data: str, out: Path, environment: dict[str, str]) -> dict[str, Any]:
    """A whole run in a process of its own: its fates, seconds and peaks of memory."""
    command = [sys.executable, "-m", "job", "run", "--data", data, "--out", str(out), "--run-name", "run", *SETTINGS]
    begun = time.monotonic()
    process = psutil.Popen(command, env=environment, stdout=(out.parent / f"{out.name}.log").open("wb"), stderr=-2)
    peaks = {"worker": 0, "all": 0}

    def watch() -> None:
        while process.poll() is None:
            sizes = {}
            with suppress(psutil.Error):
                for each in process.children(recursive=True):
                    with suppress(psutil.Error):
                        sizes[each.name()] = [*sizes.get(each.name(), []), each.memory_full_info().pss]
            peaks["worker"] = max([peaks["worker"], *sizes.get("python", []), *sizes.get("python3", [])])
            peaks["all"] = max(peaks["all"], sum(map(sum, sizes.values())))
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    log = (out.parent / f"{out.name}.log").read_text(errors="replace")
    if code:
        raise SystemExit(f"{data} ended with {code}: {log[-2000:]}")
    found = Results(out / "run")
    return {
        "fates": fates(found),
        "crashes": log.count("exited unexpectedly"),
        "dangers": dangers(found.folder / "report.html"),
        "seconds": round(time.monotonic() - begun, 1),
        "peak_mb": {name: round(size / 2**20) for name, size in peaks.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--data", type=Path, help="folder of real pictures")
    options = parser.parse_args()
    originals = generated(60) + (real(options.data, 200) if options.data else [])
    with tempfile.TemporaryDirectory(prefix="bad-") as scratch:
        place = Path(scratch)
        contents = write(place / "pictures", mutated(options.count, options.seed, originals))
        environment = {k: v for k, v in clean_environment().items() if not k.startswith("AWS_")}
        found = {"folder": run(str(place / "pictures"), place / "folder", environment)}
        import job.storage.pack as packs

        packs.pack(str(place / "pictures"), str(place / "packed"))
        found["packed"] = run(str(place / "packed"), place / "of-packed", environment)
        refused: set[str] = set()
        binary = program("minio")
        if binary:
            server = Server("minio", binary, place / "minio")
            server.start()
            try:
                bucket = server.bucket()
                refused = put(server.client(), bucket, contents)
                found["bucket"] = run(
                    f"s3://{bucket}/data", place / "of-bucket", {**environment, **server.environment()}
                )
            finally:
                server.stop()
    first = found["folder"]["fates"]
    told = {}
    for name, each in found.items():
        own = each.pop("fates")
        wanted = contents.keys() - (refused if name == "bucket" else set())
        told[name] = {
            **each,
            "pictures": len(own),
            "lost": len(wanted - own.keys()),
            "unknown": len(own.keys() - wanted),
            "fates": dict(sorted(Counter(own.values()).items())),
            "otherwise_than_in_the_folder": dict(
                Counter(f"{first[path]} there, {fate} here" for path, fate in own.items() if fate != first[path])
            ),
        }
    print(json.dumps(told, indent=2))
    record("bad_pictures", {"seed": options.seed, "count": len(contents), "refused_by_the_store": len(refused), **told},
           RESULTS)  # fmt: skip


if __name__ == "__main__":
    main()
