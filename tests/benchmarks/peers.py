"""Extraction and bags of words by Ray Data, by Daft and by `fruits run --no-classify`.

Each is a process of its own, its seconds those from the command to its exit, so that start-up counts.
All do the same to the same pictures: SIFT descriptors of the training and the test pictures, kept; a vocabulary from a
hash sample of 1,000 training descriptors a word; the counts of words of every picture, as CSV. (`fruits run` does more:
PCA, features, model and manifest.) Ray Data and Daft train with scikit-learn's MiniBatchKMeans in the driver.

The peers live in an environment of their own, since their pyarrow and pandas need not be Spark's:

    python -m venv peers && peers/bin/pip install "ray[data]" daft opencv-python-headless numpy scikit-learn
    python tests/benchmarks/peers.py --data fruits-360 --train-images 15000 --test-images 5000 --repeats 5 \
        --peers-python peers/bin/python

What was tuned for the peers, each measured on 2,000 to 12,000 pictures with 4 workers, the fastest kept:
- Paths are distributed and read in the worker: `read_binary_files` took 1.3 times as long (Ray Data), `download` 1.25
  (Daft).
- Ray Data: tasks, which use the first pass's processes again in the second (a pool of actors extracts 1.1 to 1.2 times
  as fast, but starts anew in each pass: slower in all); 4 blocks a worker (16: 1.1 times as long); Arrow batches, a
  block each and not copied; the sample drawn in the driver (a pass of its own cost 3 s); no dashboard, no log
  forwarding, no progress bars.
- Daft: the native runner with batch functions of 64 pictures in its own threads, as OpenCV lets go of the interpreter
  lock: one process a worker (`use_process`) took 1.25 times as long, a function per row 2.4 times.
- Descriptors travel as packed bytes, 128 each; words are found by one matrix product a batch.
- One OpenCV, BLAS and OpenMP thread each: scikit-learn's mini-batches took 0.2 s so, and 4.5 s with 4 OpenMP threads on
  busy cores.
"""

import argparse
import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from measure import add_results_option, fruits_command, record, run, spread
from pictures import SPLITS, add_picture_options, staged_pictures

for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy is imported, here and in the workers
    os.environ.setdefault(_threads, "1")

SAMPLE_PER_WORD = 1000
BLOCKS_PER_WORKER = 4  # Ray Data
BATCH = 64  # pictures, Daft


def describe(names: Sequence[str], folder: Path) -> list[bytes]:
    """Packed uint8 SIFT descriptors of each picture, 128 bytes a descriptor."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    sift = cv2.SIFT_create()
    packed = []
    for name in names:
        grey = cv2.imdecode(np.frombuffer((folder / name).read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        _, descriptors = sift.detectAndCompute(grey, None)
        packed.append(b"" if descriptors is None else descriptors.astype(np.uint8).tobytes())
    return packed


def sample(pictures: Iterable[tuple[str, bytes]], words: int) -> bytes:
    """About 1,000 descriptors a word of the training pictures, packed, drawn by a hash of the picture's name."""
    import numpy as np

    training = {name: data for name, data in pictures if name.startswith(SPLITS["train"])}
    share = SAMPLE_PER_WORD * words * 128 / sum(map(len, training.values()))
    drawn = []
    for name, data in training.items():
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
        descriptors = np.frombuffer(data, np.uint8).reshape(-1, 128)
        drawn.append(descriptors[np.random.default_rng(seed).random(len(descriptors)) < share].tobytes())
    return b"".join(drawn)


def train(drawn: bytes, words: int, seed: int) -> Any:
    """Cluster centres: float32 of shape (words, 128)."""
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans

    descriptors = np.frombuffer(drawn, np.uint8).reshape(-1, 128).astype(np.float32)
    model = MiniBatchKMeans(words, init="random", n_init=3, batch_size=4096, random_state=seed)
    return model.fit(descriptors).cluster_centers_


def count_words(packed: Sequence[bytes], centres: Any) -> Any:
    """Counts of words of each picture: int64 of shape (pictures, words)."""
    import numpy as np

    sizes = np.array([len(data) // 128 for data in packed])
    descriptors = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, 128).astype(np.float32)
    # argmin |d - c|^2 = argmax d.c - |c|^2 / 2
    words = (descriptors @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
    pictures = np.repeat(np.arange(len(sizes)), sizes)
    shape = (len(sizes), len(centres))
    return np.bincount(pictures * shape[1] + words, minlength=shape[0] * shape[1]).reshape(shape)


def with_ray(names: list[str], options: argparse.Namespace) -> tuple[list[str], list[list[int]]]:
    """Names and counts of words, in the order in which Ray Data leaves them."""
    import pyarrow as pa
    import ray

    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    folder, words = options.data.absolute(), options.words
    whole_blocks = {"batch_format": "pyarrow", "batch_size": None, "zero_copy_batch": True}

    def describe_block(block: pa.Table) -> pa.Table:
        packed = describe(block["name"].to_pylist(), folder)
        return block.append_column("descriptors", pa.array(packed, pa.large_binary()))

    def count_block(block: pa.Table, centres: Any) -> pa.Table:
        counts = count_words(block["descriptors"].to_pylist(), centres)
        return pa.table({"name": block["name"], "counts": pa.FixedSizeListArray.from_arrays(counts.ravel(), words)})

    size = -(-len(names) // (BLOCKS_PER_WORKER * options.workers))
    tables = [pa.table({"name": names[start : start + size]}) for start in range(0, len(names), size)]
    described = ray.data.from_arrow(tables).map_batches(describe_block, **whole_blocks).materialize()
    blocks = [block.to_pydict() for block in described.iter_batches(batch_format="pyarrow", batch_size=None)]
    pictures = [pair for block in blocks for pair in zip(block["name"], block["descriptors"], strict=True)]
    centres = train(sample(pictures, words), words, options.seed)
    bags = described.map_batches(count_block, fn_args=(centres,), **whole_blocks)
    found = [block.to_pydict() for block in bags.iter_batches(batch_format="pyarrow", batch_size=None)]
    return [name for block in found for name in block["name"]], [row for block in found for row in block["counts"]]


def with_daft(names: list[str], options: argparse.Namespace) -> tuple[list[str], list[list[int]]]:
    """Names and counts of words."""
    import daft
    from daft import DataType, Series, col

    daft.set_runner_native(num_threads=options.workers)
    folder, words = options.data.absolute(), options.words

    @daft.func.batch(return_dtype=DataType.binary(), batch_size=BATCH)
    def describe_batch(name: Series) -> list[bytes]:
        return describe(name.to_pylist(), folder)

    described = daft.from_pydict({"name": names}).with_column("descriptors", describe_batch(col("name"))).collect()
    kept = described.to_pydict()
    centres = train(sample(zip(kept["name"], kept["descriptors"], strict=True), words), words, options.seed)

    @daft.func.batch(return_dtype=DataType.fixed_size_list(DataType.int64(), words), batch_size=BATCH)
    def count_batch(descriptors: Series) -> list[Any]:
        return list(count_words(descriptors.to_pylist(), centres))

    bags = described.select(col("name"), count_batch(col("descriptors")).alias("counts")).to_pydict()
    return bags["name"], bags["counts"]


PEERS = {"ray": with_ray, "daft": with_daft}


def run_peer(options: argparse.Namespace) -> None:
    """One peer's whole work, in this process."""
    names = sorted(path.relative_to(options.data).as_posix() for path in options.data.rglob("*.jpg"))
    found, counts = PEERS[options.only](names, options)
    bags = dict(zip(found, counts, strict=True))
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = {}
    for split, prefix in SPLITS.items():
        rows = [(name, name.split("/")[-2], *bags[name]) for name in names if name.startswith(prefix)]
        with (options.out / f"bag_of_words_{split}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("ima", "cat", *range(options.words)))
            table.writerows(rows)
        dataset[split] = {"images": len(rows), "descriptors": sum(sum(row[2:]) for row in rows)}
    (options.out / "summary.json").write_text(json.dumps({"dataset": dataset}))


def run_all(options: argparse.Namespace, folder: Path) -> None:
    """All programs by turns; each must come to the same number of pictures and descriptors."""
    shared = ["--data", folder, "--words", options.words, "--seed", options.seed]
    sample_size = SAMPLE_PER_WORD * options.words
    seconds: dict[str, list[float]] = {name: [] for name in options.programs.split(",")}
    datasets = {}
    for repeat in range(options.repeats):
        for name, measured in seconds.items():
            out = options.out / f"{name}-{repeat}"
            command = [options.peers_python, Path(__file__), "--only", name, *shared, "--out", out,
                       "--workers", options.workers]  # fmt: skip
            if name == "fruits":
                command = [fruits_command(), "run", "--preset", "reference", "--vocabulary-sample", sample_size,
                           "--no-classify", *shared, "--out", out.parent, "--run-name", out.name,
                           "--master", f"local[{options.workers}]"]  # fmt: skip
            measured.append(run(command, options.out / f"{name}-{repeat}.log").wall)
            result = next(path for path in (out / "manifest.json", out / "summary.json") if path.exists())
            dataset = json.loads(result.read_text())["dataset"]
            datasets[name] = {split: (dataset[split]["images"], dataset[split]["descriptors"]) for split in SPLITS}
            print(f"{repeat + 1}/{options.repeats} {name}: {measured[-1]:.1f} s")
    if len(set(map(str, datasets.values()))) > 1:
        raise SystemExit(f"Pictures and descriptors differ: {datasets}")
    figures = {
        "dataset": next(iter(datasets.values())),
        "words": options.words,
        "workers": options.workers,
        "seconds": {name: spread(measured) for name, measured in seconds.items()},
    }
    print(f"\n{'from command to exit, seconds':<31}{'min':>8}{'median':>8}")
    for name, measured in figures["seconds"].items():
        print(f"{name:<31}{measured['min']:>8.2f}{measured['median']:>8.2f}")
    record("peers", figures, options.results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_picture_options(parser)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--programs", default="fruits,ray,daft", metavar="A,B", help="which, and in which order")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable),
                        help="the interpreter that has Ray Data and Daft")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=tuple(PEERS), help="run one peer on all pictures of --data, in this process")
    add_results_option(parser)
    options = parser.parse_args()
    if options.only:
        run_peer(options)
        return
    with staged_pictures(options) as folder:
        run_all(options, folder)


if __name__ == "__main__":
    main()
