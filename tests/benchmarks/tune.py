"""`fruits tune` with twelve candidates beside a single `fruits run` of the slowest of them, on the same pictures.

    python tests/benchmarks/tune.py --data fruits-360 [--train-images 4000] [--test-images 1000] [--repeats 3]

Both are taken from start to exit, by turns. The bound is 2.5 times the run's time, on four cores; pictures are to be
described once, which `tune.json` counts. `--slowest` names the candidate whose run is taken as flags of `fruits run`.
"""

import argparse
import json
import shlex
import tempfile
from pathlib import Path
from typing import Any

import measure

MOST = 2.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with Training and Test")
    parser.add_argument("--train-images", type=int, default=4000)
    parser.add_argument("--test-images", type=int, default=1000)
    parser.add_argument("--candidates", help="as of `fruits tune`; by default its own dozen")
    parser.add_argument("--slowest", default="--preset accurate", help="flags of `fruits run` (--preset accurate)")
    parser.add_argument("--master", default="local[4]")
    parser.add_argument("--repeats", type=int, default=3)
    measure.add_results_option(parser)
    options = parser.parse_args()
    same = ["--data", options.data, "--train-images", options.train_images, "--test-images", options.test_images]
    same += ["--master", options.master]
    candidates = ["--candidates", options.candidates] if options.candidates else []
    found: dict[str, list[measure.Finished]] = {"run": [], "tune": []}
    content: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for repeat in range(options.repeats):
            out = folder / str(repeat)
            commands = {
                "run": ["run", *same, *shlex.split(options.slowest), "--out", out],
                "tune": ["tune", *same, *candidates, "--out", out, "--run-name", "tune"],
            }
            for name in commands if repeat % 2 == 0 else reversed(commands):
                done = measure.run([measure.fruits_command(), *commands[name]], folder / f"{name}.log")
                found[name].append(done)
                print(f"{name} {repeat + 1}: {done.wall:.1f} s, {done.cpu:.1f} s of CPU", flush=True)
            content = json.loads((out / "tune" / "tune.json").read_text(encoding="utf-8"))
    seconds = {name: measure.spread([done.wall for done in each]) for name, each in found.items()}
    figures = {
        "master": options.master,
        "train_images": options.train_images,
        "test_images": options.test_images,
        "candidates": len(content["candidates"]),
        "slowest": options.slowest,
        "seconds": seconds,
        "cpu": {name: measure.spread([done.cpu for done in each]) for name, each in found.items()},
        "ratio": round(seconds["tune"]["median"] / seconds["run"]["median"], 2),
        "most": MOST,
        "extractions": len(content["extractions"]),
        "operations": content["seconds"],
    }
    print(json.dumps(figures, indent=2))
    measure.record("tune", figures, options.results)


if __name__ == "__main__":
    main()
