"""A saved model at work: how long it takes to load, what one picture costs, how soon the shell has an answer, and how
many pictures a second a batch predicts.

    python tests/benchmarks/predict.py --model out/<run>/model --data pictures [--only load,one,shell,batch,batch-s3]

Pictures are the first 500 below `--data`, for `batch` up to 20,000 below its Training; `batch-s3` has these in a bucket
of a MinIO that is started for it. Bounds are printed beside the figures: load 0.5 s; one picture 1.2 times its
descriptors alone plus 1 ms (medians of 500); the command from start to exit 1.0 s; a batch 0.9 of the pictures a second
that a run describes by the same descriptors, without encoding them.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measure
from pictures import choose, stage

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "s3"))

PICTURES, LARGE = 500, 20_000
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


def batch(model: str, pictures: Sequence[Path], repeats: int) -> dict[str, Any]:
    """Pictures a second of `fruits predict --data`, by turns with a run's extraction by the same descriptors."""
    with tempfile.TemporaryDirectory() as scratch:
        data, folder = staged(pictures, Path(scratch))
        return turns(model, str(folder / "Training"), str(data / "Test"), Path(scratch), repeats)


def batch_s3(model: str, pictures: Sequence[Path], repeats: int) -> dict[str, Any]:
    """The same, of pictures in a MinIO on loopback."""
    from s3_servers import Server, program

    binary = program("minio")
    if binary is None:
        raise SystemExit("There is no minio on this machine: name it in FRUITS_MINIO.")
    with tempfile.TemporaryDirectory() as scratch:
        data, folder = staged(pictures, Path(scratch))
        server = Server("minio", binary, Path(scratch) / secrets.token_hex(3))
        server.start()
        try:
            os.environ.update(server.environment())
            bucket = f"s3://{server.bucket()}/pictures"
            measure.run([measure.fruits_command(), "upload", folder, bucket], Path(scratch) / "log")
            return turns(model, f"{bucket}/Training", str(data / "Test"), Path(scratch), repeats)
        finally:
            server.stop()


def staged(pictures: Sequence[Path], scratch: Path) -> tuple[Path, Path]:
    """The folder of the data, and one that holds copies of the training pictures that are predicted."""
    data = next(path for path in pictures[0].parents if (path / "Training").is_dir())
    names = choose(data, "train")
    stage(data, names if len(names) <= LARGE else choose(data, "train", (), LARGE), scratch / "pictures")
    return data, scratch / "pictures"


def turns(model: str, train: str, test: str, scratch: Path, repeats: int) -> dict[str, Any]:
    """Pictures a second that are predicted and described below `train`, by turns."""
    from job import load_model

    features = "+".join(load_model(model).recipe["blocks"])
    rates: dict[str, list[float]] = {"predict": [], "extraction": []}
    fruits, out, log = measure.fruits_command(), scratch / "out", scratch / "log"
    for number in range(repeats):
        measure.run([fruits, "predict", "--model", model, "--data", train, "--out", out,
                     "--run-name", f"p{number}"], log)  # fmt: skip
        measure.run([fruits, "run", "--train", train, "--test", test, "--test-images", 60, "--features", features,
                     "--augment", "off", "--no-classify", "--out", out, "--run-name", f"r{number}"], log)  # fmt: skip
        found = {name: json.loads((out / f"{name}{number}" / "manifest.json").read_text()) for name in "pr"}
        count = found["p"]["dataset"]["images"]
        rates["predict"].append(count / found["p"]["seconds"]["predict"])
        rates["extraction"].append(count / found["r"]["seconds"]["extract_descriptors"]["train"])
    return {
        "pictures": count,
        "a_second": {name: measure.spread(values) for name, values in rates.items()},
        "predict_over_extraction": round(
            statistics.median(rates["predict"]) / statistics.median(rates["extraction"]), 3
        ),
        "least": 0.9,
    }


SECTIONS = {"load": load, "one": one, "shell": shell, "batch": batch, "batch-s3": batch_s3}


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
