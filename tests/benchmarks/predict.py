"""A saved model at work: how long it takes to load, what one picture costs, how soon the shell has an answer.

    python tests/benchmarks/predict.py --model out/<run>/model --data pictures [--only load,one,shell]

Pictures are the first 500 below `--data`. Bounds are printed beside the figures: load 0.5 s; one picture 1.2 times its
descriptors alone plus 1 ms (medians of 500); the command from start to exit 1.0 s.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measure

PICTURES = 500
LOAD = """
import json, sys, time
begun = time.perf_counter()
from job import load_model
imported = time.perf_counter()
load_model(sys.argv[1])
print(json.dumps([imported - begun, time.perf_counter() - imported]))
"""


def load(model: str, pictures: Sequence[Path], repeats: int) -> dict[str, Any]:
    """Seconds of `load_model` in new processes, the imports that it does included; at most 0.5."""
    del pictures
    command = [sys.executable, "-c", LOAD, model]
    found = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeats)]
    return {"seconds": measure.spread([seconds for _, seconds in found]), "most": 0.5}


def one(model: str, pictures: Sequence[Path], repeats: int) -> dict[str, Any]:
    """Milliseconds of `predict` for one picture's bytes, by turns with its descriptors alone."""
    del repeats
    from job import load_model
    from job.vision.picture import Picture

    loaded = load_model(model)
    own, chain = loaded._stored.description, loaded._stored.chain
    contents = [path.read_bytes() for path in pictures]
    bare, whole = [], []

    def describe(data: bytes) -> None:
        picture = Picture.decode(data, own.max_bytes, mask=own.mask)
        for spec in chain.descriptors:
            spec.describe(picture)

    for data in [*contents[:20], *contents]:  # the first ones warm everything
        bare.append(timed(describe, data))
        whole.append(timed(loaded.predict, data))
    descriptors, predict = (1000 * statistics.median(values[20:]) for values in (bare, whole))
    return {
        "descriptors_ms": round(descriptors, 3),
        "predict_ms": round(predict, 3),
        "most_ms": round(1.2 * descriptors + 1, 3),
    }


def timed(work: Callable[[bytes], Any], data: bytes) -> float:
    begun = time.perf_counter()
    work(data)
    return time.perf_counter() - begun


def shell(model: str, pictures: Sequence[Path], repeats: int) -> dict[str, Any]:
    """Seconds of `fruits predict` for one picture, from start to exit; at most 1.0."""
    command = [measure.fruits_command(), "predict", "--model", model, str(pictures[0])]
    log = Path("/dev/null")
    found = [measure.run(command, log) for _ in range(repeats)]
    return {
        "seconds": measure.spread([done.wall for done in found]),
        "cpu": measure.spread([done.cpu for done in found]),
        "most": 1.0,
    }


SECTIONS = {"load": load, "one": one, "shell": shell}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a run or of its model")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--repeats", type=int, default=10)
    measure.add_results_option(parser)
    arguments = parser.parse_args()
    pictures = sorted(arguments.data.rglob("*.jpg"))[:PICTURES]
    if not pictures:
        raise SystemExit(f"There are no pictures (*.jpg) in '{arguments.data}'.")
    figures: dict[str, Any] = {"pictures": len(pictures)}
    for name in arguments.only.split(","):
        figures[name] = SECTIONS[name](arguments.model, pictures, arguments.repeats)
        print(name, json.dumps(figures[name]))
    measure.record("predict", figures, arguments.results)


if __name__ == "__main__":
    main()
