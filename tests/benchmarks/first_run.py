"""What the first run costs more than the second: by turns, each time with an empty cache of classes.

    python tests/benchmarks/first_run.py --repeats 5

Processor seconds are those of the command and all its processes but the one that makes the archive, for which nobody
waits. Beside them a run without any archive.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 600.0


def once(environment: dict[str, str]) -> tuple[float, float]:
    """Processor seconds and seconds of one run of the generated sample."""
    with tempfile.TemporaryDirectory() as out:
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "job", "run", "--preset", "fast", "--quiet", "--out", out]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return used, time.perf_counter() - begun


def turn() -> dict[str, tuple[float, float]]:
    """A first run, a second one once the archive is there, and one that goes without."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        environment.pop("FRUITS_CLASS_ARCHIVE", None)
        found = {"first": once(environment)}
        deadline = time.monotonic() + LIMIT
        while not list(Path(cache).glob("fruits-job/classes-*.jsa")):
            assert time.monotonic() < deadline, "no archive was made"
            time.sleep(0.5)
        found["second"] = once(environment)
        found["without"] = once({**environment, "FRUITS_CLASS_ARCHIVE": "off"})
        return found


def main() -> None:
    """Prints minima and medians as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    turns = [turn() for _ in range(parser.parse_args().repeats)]
    figures = {
        f"{name}_{what}_{how.__name__}": round(how(one[name][place] for one in turns), 2)
        for name in turns[0]
        for place, what in enumerate(("processor_s", "s"))
        for how in (min, statistics.median)
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
