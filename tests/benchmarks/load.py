"""A million pictures through `fruits run` and `fruits predict`, within executors and a driver of 2 GiB.

Real pictures, each under many names (hard links), plain or packed. For each number of pictures: seconds and seconds a
picture of the run (descriptors, vocabulary, words, features, classifier, scores) and of the prediction of all of them,
and the peak memory (proportional set size, so that what processes share counts once) of the driver's Python, of the
driver's JVM, and of each executor with its Python workers.

    python tests/benchmarks/load.py --data DIR --images 20000,1000000
    python tests/benchmarks/load.py --data DIR --images 20000,1000000 --packed
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Self

import psutil
from measure import CHECKOUT, add_results_option, record
from pictures import SPLITS, choose

from job.engine.java import spark_home

_LOOK = 1.0
# Most names that one file gets: file systems have a limit (65,000 on ext4).
_NAMES = 50_000


class Memory(threading.Thread):
    """Context manager: the peak memory of a command's processes by what they are, looked at each second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, int] = {}
        self._root = psutil.Process(pid)
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(_LOOK):
            now: dict[str, int] = defaultdict(int)
            try:
                self._add(self._root, "driver's Python", now)
            except psutil.Error:
                continue
            for name, size in now.items():
                kind = "an executor" if name.startswith("executor ") else name
                self.peaks[kind] = max(self.peaks.get(kind, 0), size)

    def _add(self, process: psutil.Process, name: str, found: dict[str, int]) -> None:
        try:
            line = process.cmdline()
            if any("CoarseGrainedExecutorBackend" in part for part in line):
                name = f"executor {process.pid}"
            elif any("PythonGatewayServer" in part for part in line):
                name = "driver's JVM"
            found[name] += process.memory_full_info().pss
            children = process.children()
        except psutil.Error:
            return
        for child in children:
            self._add(child, name, found)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()


def link(source: Path, target: Path, images: int) -> None:
    """A tree of so many pictures, four fifths in Training/, each a name of one of `source`."""
    shares = {"train": images * 4 // 5, "test": images - images * 4 // 5}
    for split, count in shares.items():
        # in an order that has all categories from the start
        names = sorted(choose(source, split), key=lambda name: hashlib.blake2b(name.encode()).digest())
        if count > len(names) * _NAMES:
            raise SystemExit(f"{count} names are more than {len(names)} files can have.")
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            turn, place = divmod(number, len(names))
            path = Path(names[place])
            os.link(source / path, target / path.with_name(f"{turn:05d}-{path.name}"))


def command(arguments: list[str], heap: int) -> tuple[float, dict[str, int]]:
    """Seconds and peaks of a command of this package."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "SPARK_HOME": str(spark_home()),
        "FRUITS_CONF": f"spark.executor.memory={heap}m",
    }
    begun = time.perf_counter()
    with (
        subprocess.Popen([sys.executable, "-m", "job", *arguments], env=environment) as process,
        Memory(process.pid) as memory,
    ):
        code = process.wait()
    if code:
        raise SystemExit(f"`fruits {' '.join(arguments)}` ended with {code}.")
    return time.perf_counter() - begun, memory.peaks


def main() -> None:
    """Each number of pictures through both commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a tree with Training/ and Test/")
    parser.add_argument("--images", default="20000,1000000", help="numbers of pictures")
    parser.add_argument("--executors", type=int, default=2)
    parser.add_argument("--heap", type=int, default=1024, help="MB of an executor's heap")
    parser.add_argument("--packed", action="store_true", help="from the packed format")
    parser.add_argument(
        "--work", type=Path, help="folder for the pictures and what is found (default: a temporary one)"
    )
    parser.add_argument("arguments", nargs="*", help="settings of the run (default: --preset sift --descriptor orb)")
    add_results_option(parser)
    given = parser.parse_args()
    settings = given.arguments or ["--preset", "sift", "--descriptor", "orb"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="load-", dir=given.work) as work:
        folder = Path(work)
        for split in SPLITS.values():
            shutil.copytree(given.data / split, folder / "source" / split)
        for images in map(int, given.images.split(",")):
            data = folder / str(images)
            link(folder / "source", data, images)
            if given.packed:
                command(["pack", str(data), str(folder / f"{images}-packed")], given.heap)
                shutil.rmtree(data)
                data = folder / f"{images}-packed"
            common = ["--data", str(data), "--out", str(folder / "out")]
            common += ["--master", f"local-cluster[{given.executors},1,{given.heap}]"]
            run = ["run", *settings, *common, "--run-name", f"run-{images}"]
            predict = [
                "predict",
                "--model",
                str(folder / "out" / f"run-{images}"),
                *common,
                "--run-name",
                f"predict-{images}",
            ]
            for arguments in (run, predict):
                seconds, peaks = command(arguments, given.heap)
                row = {"command": arguments[0], "images": images, "seconds": round(seconds, 1)}
                row |= {"milliseconds a picture": round(1000 * seconds / images, 3)}
                row |= {kind: f"{size / 2**30:.2f} GiB" for kind, size in sorted(peaks.items())}
                print(json.dumps(row), flush=True)
                rows.append(row)
            manifest = json.loads((folder / "out" / f"run-{images}" / "manifest.json").read_text())
            print(f"accuracy {manifest['accuracy']}")
            shutil.rmtree(data)
    record("load", {"settings": settings, "packed": given.packed, "heap_mb": given.heap, "rows": rows}, given.results)


if __name__ == "__main__":
    main()
