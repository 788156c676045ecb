"""The same work in plain Python: a process pool, OpenCV and scikit-learn, no Spark.

What `fruits run` has to come near to: it pays for no session, no JVM and no cluster. One OpenCV, BLAS and OpenMP thread
a process: scikit-learn's mini-batches took 0.2 s so, and 4.5 s with 4 OpenMP threads on busy cores. With --full-kmeans
on a quiet machine `OMP_NUM_THREADS=4` may be faster.

    python tests/benchmarks/pool.py --data fruits-360 --train-images 876 --test-images 292 --words 50
    python tests/benchmarks/pool.py --data fruits-360 --train-images 15000 --test-images 5000 --extraction-only

`extract_with_pool(paths, workers)` is the yardstick of extraction alone.
"""

import argparse
import csv
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple

STARTED = time.perf_counter()
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

# After the number of threads is set, and before the processes are forked, so that none of them imports it again.
import cv2  # noqa: E402
import numpy as np  # noqa: E402
from measure import Clock  # noqa: E402
from pictures import SPLITS, add_picture_options, staged_pictures  # noqa: E402

CHUNK = 32  # pictures a message, at most


class Extraction(NamedTuple):
    """What a pool did: seconds of the extraction, pictures that have descriptors, descriptors."""

    seconds: float
    pictures: int
    descriptors: int


def describe(path: str) -> np.ndarray:
    """SIFT descriptors of a picture: uint8 of shape (n, 128). OpenCV's values are whole numbers 0..255."""
    grey = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    _, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    return np.empty((0, 128), np.uint8) if descriptors is None else descriptors.astype(np.uint8)


@contextmanager
def started_pool(workers: int) -> Iterator[Pool]:
    """A pool of forked processes, each with OpenCV loaded and one OpenCV thread."""
    cv2.setNumThreads(1)  # a fork does not survive OpenCV's own threads
    with multiprocessing.get_context("fork").Pool(workers, _on_its_own) as pool:
        yield pool


def _on_its_own() -> None:
    """Ends by the signal with which a pool ends its processes, whatever the program that they are forked off does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def describe_all(paths: Sequence[str], pool: Pool, workers: int) -> list[np.ndarray]:
    """Descriptors of each picture, in the order of the paths, in this process."""
    return pool.map(describe, paths, chunksize=max(1, min(CHUNK, len(paths) // (4 * workers))))


def extract_with_pool(paths: Sequence[str], workers: int) -> Extraction:
    """Read, decode and describe pictures with a pool that has started; its start is not counted."""
    with started_pool(workers) as pool:
        describe_all(paths[:workers], pool, workers)
        begin = time.perf_counter()
        described = describe_all(paths, pool, workers)
        seconds = time.perf_counter() - begin
    counts = [len(descriptors) for descriptors in described]
    return Extraction(seconds, sum(map(bool, counts)), sum(counts))


def train_vocabulary(descriptors: np.ndarray, options: argparse.Namespace) -> Any:
    """The fitted scikit-learn model: mini-batches, or with --full-kmeans every descriptor until nothing moves."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    shared = {"n_clusters": options.words, "init": "random", "random_state": options.seed}
    if options.full_kmeans:
        return KMeans(**shared, n_init=1, max_iter=2000, tol=0).fit(descriptors)
    return MiniBatchKMeans(**shared, n_init=3, batch_size=4096).fit(descriptors)


def histogram(words: np.ndarray, pictures: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Counts of words per picture: float64 of shape `size`, from the word and the picture of each descriptor."""
    return np.bincount(pictures * size[1] + words, minlength=size[0] * size[1]).reshape(size).astype(float)


def run_pool(options: argparse.Namespace, folder: Path, clock: Clock) -> dict[str, Any]:
    """All steps on the pictures of `folder`; returns accuracy and counts."""
    names: dict[str, list[str]] = {}
    described: dict[str, list[np.ndarray]] = {}
    for split in SPLITS:
        with clock.operation("read_images", split):
            names[split] = sorted(path.as_posix() for path in (folder / SPLITS[split]).rglob("*.jpg"))
    with started_pool(options.workers) as pool:
        for split, paths in names.items():
            with clock.operation("extract_descriptors", split):
                described[split] = describe_all(paths, pool, options.workers)
    summary: dict[str, Any] = {
        "dataset": {
            split: {"described": sum(map(bool, map(len, found))), "descriptors": sum(map(len, found))}
            for split, found in described.items()
        }
    }
    with clock.operation("import_sklearn"):
        from sklearn.decomposition import PCA
        from sklearn.neural_network import MLPClassifier

    stacked = {split: np.concatenate(found).astype(np.float32) for split, found in described.items()}
    with clock.operation("fit_vocabulary", "train"):
        vocabulary = train_vocabulary(stacked["train"], options)
    bags: dict[str, np.ndarray] = {}
    features: dict[str, np.ndarray] = {}
    components = int(options.words - 0.3 * options.words)
    pca = PCA(components)
    for split, found in described.items():
        with clock.operation("assign_words", split):
            words = vocabulary.predict(stacked[split])
        with clock.operation("bag_of_words", split):
            pictures = np.repeat(np.arange(len(found)), [len(descriptors) for descriptors in found])
            bags[split] = histogram(words, pictures, (len(found), options.words))
        with clock.operation("reduce_dimensions", split):
            features[split] = pca.fit_transform(bags[split]) if split == "train" else pca.transform(bags[split])
    labels = {split: [Path(path).parent.name for path in paths] for split, paths in names.items()}
    with clock.operation("fit_classifier", "train"):
        classifier = MLPClassifier((components, components), activation="logistic", solver="lbfgs", alpha=0,
                                   max_iter=200, random_state=options.seed)  # fmt: skip
        with warnings.catch_warnings(action="ignore"):  # 200 iterations are all the prototype gives it
            classifier.fit(features["train"], labels["train"])
    with clock.operation("evaluate", "test"):
        summary["accuracy"] = classifier.score(features["test"], labels["test"])
    with clock.operation("export"):
        for split, table in features.items():
            images = [Path(path).relative_to(folder).as_posix() for path in names[split]]
            export(options.out / f"df_lab_features_{split}.csv", images, labels[split], table)
    clock.stop()
    summary["inertia"] = -float(vocabulary.score(stacked["train"]))
    return summary


def export(path: Path, images: Sequence[str], labels: Sequence[str], features: np.ndarray) -> None:
    numbers = {category: number for number, category in enumerate(sorted(set(labels)))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("ima", "cat", "label", *range(features.shape[1])))
        for image, label, row in zip(images, labels, features.tolist(), strict=True):
            table.writerow((image, label, numbers[label], *row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_picture_options(parser)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--full-kmeans", action="store_true", help="train on every descriptor until nothing moves")
    parser.add_argument("--extraction-only", action="store_true", help="print the extraction's seconds and stop")
    options = parser.parse_args()
    with staged_pictures(options) as folder:
        if options.extraction_only:
            paths = sorted(path.as_posix() for path in folder.rglob("*.jpg"))
            done = extract_with_pool(paths, options.workers)
            print(f"{done.pictures} pictures, {done.descriptors} descriptors, {done.seconds:.2f} s, "
                  f"{done.pictures / done.seconds:.0f} pictures/s with {options.workers} processes")  # fmt: skip
            return
        clock = Clock(STARTED if options.staged else time.perf_counter())
        summary = run_pool(options, folder, clock)
    clock.leave(options.out, summary)


if __name__ == "__main__":
    main()
