"""How much of what is wrong with data on purpose is found: flipped labels and planted copies, and what looking costs.

Works on arrays with the modules of `job.vision` and `job.learn`, without Spark. Described pictures are kept in
`--cache`.

    python tests/benchmarks/data_issues.py --data fruits-360 --cache /tmp/issues
    python tests/benchmarks/data_issues.py --data fruits-360 --cache /tmp/issues --train-images 4000 \\
        --classifier logistic
"""

import argparse
import hashlib
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy is imported, in the workers
    os.environ.setdefault(_threads, str(os.cpu_count()))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from pictures import choose  # noqa: E402

from job.cores import available_cores  # noqa: E402
from job.experiment.fit import MOST_CELLS  # noqa: E402
from job.experiment.issues import MOST_WIDTH  # noqa: E402
from job.learn import scaling  # noqa: E402
from job.learn.classifiers import CLASSIFIERS  # noqa: E402
from job.learn.encodings import ENCODINGS  # noqa: E402
from job.learn.issues import KINDS  # noqa: E402
from job.learn.issues.base import Evidence, Rows  # noqa: E402
from job.learn.projection import projected  # noqa: E402
from job.vision.descriptors import DESCRIPTORS  # noqa: E402
from job.vision.look import look  # noqa: E402
from job.vision.picture import Picture  # noqa: E402

BLOCKS = {"soft-hsv": 1, "lbp": 1, "patches": 512}
FLIPPED, LISTED = 0.05, 0.07
PLANTED = 200
_PART = 250


# ---- described pictures


def _describe(contents: list[bytes]) -> list[np.ndarray]:
    """Looks, and rows of each descriptor."""
    cv2.setNumThreads(1)
    found: list[list[np.ndarray]] = [[] for _ in range(1 + len(BLOCKS))]
    for content in contents:
        picture = Picture.decode(content)
        for rows, name in zip(found[1:], BLOCKS, strict=True):
            rows.append(DESCRIPTORS.get(name).describe(picture))
        found[0].append(look(picture).reshape(1, -1))
    return [np.concatenate(rows) for rows in found]


def _described_files(files: list[Path]) -> list[np.ndarray]:
    return _describe([file.read_bytes() for file in files])


def described(files: list[Path], cache: Path) -> list[np.ndarray]:
    key = hashlib.blake2b("\0".join([*map(str, files), *BLOCKS]).encode(), digest_size=12).hexdigest()
    path = cache / f"{key}.npz"
    if not path.exists():
        parts = [files[at : at + _PART] for at in range(0, len(files), _PART)]
        with ProcessPoolExecutor(available_cores()) as pool:
            done = list(pool.map(_described_files, parts))
        np.savez(path, *[np.concatenate(each) for each in zip(*done, strict=True)])
    with np.load(path) as found:
        return [found[name] for name in found.files]


def features(train: list[np.ndarray], test: list[np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of both splits, as a run makes them but for its changed copies."""
    encoded: list[list[np.ndarray]] = [[], []]
    order = np.random.default_rng(seed).permutation(len(train[0]))
    for place, (name, words) in enumerate(BLOCKS.items(), start=1):
        spec, encoding = DESCRIPTORS.get(name), ENCODINGS.get(DESCRIPTORS.get(name).encoding)
        sample = train[place][order[: encoding.sample_size(words, 1) or 1]]
        codebook = encoding.fit(spec.unpack(sample), words, quantum=None, seed=seed)
        for into, rows in zip(encoded, (train[place], test[place]), strict=True):
            into.append(encoding.encode(spec.unpack(rows), np.arange(len(rows)), len(rows), codebook))
    fitted = scaling.fit(scaling.sums(encoded[0]))
    made = [scaling.scale(np.hstack(each), fitted) for each in encoded]
    if made[0].size > MOST_CELLS:  # features are then with the executors, which send projections of them
        made = [projected(each, MOST_WIDTH, seed) for each in made]
    return tuple(each.astype(np.float16) for each in made)


# ---- what is done to the data on purpose


def flipped(labels: np.ndarray, categories: int, seed: int, run: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a twentieth are wrong, and which; wrong ones come in rows of `run` neighbours."""
    random = np.random.default_rng(seed)
    count = round(FLIPPED * len(labels))
    starts = random.permutation(len(labels) // run)[: -(-count // run)] * run
    rows = (starts[:, None] + np.arange(run)).ravel()[:count]
    wrong = labels.copy()
    wrong[rows] = np.repeat((labels[starts] + random.integers(1, categories, len(starts))) % categories, run)[:count]
    return wrong, rows


def copies(content: bytes, kind: int) -> bytes:
    """A copy, recompressed, mirrored or scaled."""
    if not kind:
        return content
    colour = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if kind == 1:
        return cv2.imencode(".jpg", colour, (cv2.IMWRITE_JPEG_QUALITY, 60))[1].tobytes()
    if kind == 2:
        return cv2.imencode(".jpg", colour[:, ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes()
    size = (70, 70) if len(content) % 2 else (150, 150)
    return cv2.imencode(".jpg", cv2.resize(colour, size, interpolation=cv2.INTER_AREA))[1].tobytes()


# ---- what is found


def labels_found(evidence: dict[str, Any], truth: np.ndarray, seed: int, run: int) -> dict[str, Any]:
    rows: Rows = evidence["features"]["train"]
    labels, wrong = flipped(truth, len(evidence["categories"]), seed, run)
    looks = {"train": Rows(rows.names, labels, evidence["looks"]["train"].values)}
    own = Evidence(**{**evidence, "looks": looks, "features": {"train": Rows(rows.names, labels, rows.values)}})
    begun = time.perf_counter()
    listed = [issue.ima for issue in KINDS.get("label").find(own)]
    seconds = time.perf_counter() - begun
    bad = {rows.names[row] for row in wrong}
    first = listed[: round(LISTED * len(labels))]
    return {
        "flipped": len(bad),
        "listed": len(listed),
        "found among the first 7 %": round(sum(name in bad for name in first) / len(bad), 4),
        "of those listed, flipped": round(sum(name in bad for name in listed) / max(1, len(listed)), 4),
        "seconds": round(seconds, 2),
    }


def copies_found(evidence: dict[str, Any], files: list[Path], seed: int) -> dict[str, Any]:
    train, test = (evidence["looks"][split] for split in ("train", "test"))
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(train.names))[:PLANTED]
    added: dict[str, tuple[list[str], list[int], list[np.ndarray]]] = {"train": ([], [], []), "test": ([], [], [])}
    pairs, kinds = {}, {}
    for place, row in enumerate(chosen.tolist()):
        split, kind = ("train", "test")[place % 2], place // 2 % 4
        name = f"planted/{place}.jpg"
        seen = look(Picture.decode(copies(files[row].read_bytes(), kind))).reshape(1, -1)
        for into, value in zip(added[split], (name, train.labels[row], seen), strict=True):
            into.append(value)
        pairs[name], kinds[name] = train.names[row], ("copied", "recompressed", "mirrored", "scaled")[kind]
    looks = {
        split: Rows(
            [*rows.names, *added[split][0]],
            np.concatenate([rows.labels, added[split][1]]),
            np.concatenate([rows.values, *added[split][2]]),
        )
        for split, rows in (("train", train), ("test", test))
    }
    own = Evidence(**{**evidence, "looks": looks, "features": {}})
    begun = time.perf_counter()
    issues = KINDS.get("near_duplicate").find(own)
    seconds = time.perf_counter() - begun
    cats = {name: label for rows in looks.values() for name, label in zip(rows.names, rows.labels, strict=True)}
    listed = {frozenset((issue.ima, issue.other)) for issue in issues}
    missed = [name for name, other in pairs.items() if frozenset((name, other)) not in listed]
    others = [pair for pair in listed if not any(name in pairs for name in pair)]
    false = [pair for pair in others if len({cats[name] for name in pair}) > 1]
    return {
        "planted": len(pairs),
        "found": 1 - len(missed) / len(pairs),
        "missed": sorted(kinds[name] for name in missed),
        "listed": len(issues),
        "not planted": len(others),
        "not planted, of different categories": len(false),
        "seconds": round(seconds, 2),
    }


def all_found(evidence: dict[str, Any]) -> dict[str, Any]:
    own, found = Evidence(**evidence), {}
    for name in KINDS:
        begun = time.perf_counter()
        issues = KINDS.get(name).find(own)
        found[name] = {
            "listed": len(issues),
            "first": [list(issue) for issue in issues[:5]],
            "seconds": round(time.perf_counter() - begun, 2),
        }
    return found


def gathered(options: argparse.Namespace) -> tuple[dict[str, Any], list[Path]]:
    names = {
        split: choose(options.data, split, (), count)
        for split, count in (("train", options.train_images), ("test", options.test_images))
    }
    names = {split: sorted(each) for split, each in names.items()}
    cats = {split: [name.split("/")[1] for name in each] for split, each in names.items()}
    categories = sorted(set(cats["train"]))
    labels = {split: np.searchsorted(categories, each) for split, each in cats.items()}
    rows = {split: described([options.data / name for name in each], options.cache) for split, each in names.items()}
    own = dict(zip(rows, features(rows["train"], rows["test"], options.seed), strict=True))
    evidence = {
        "categories": categories,
        "counts": np.bincount(labels["train"]),
        "looks": {split: Rows(names[split], labels[split], rows[split][0]) for split in rows},
        "features": {split: Rows(names[split], labels[split], own[split]) for split in rows},
        "classifier": CLASSIFIERS.get(options.classifier),
        "seed": options.seed,
        "threads": available_cores(),
    }
    return evidence, [options.data / name for name in names["train"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--test-images", type=int)
    parser.add_argument("--classifier", default="lda")
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    evidence, files = gathered(options)
    truth = evidence["features"]["train"].labels
    found = {
        "pictures": {split: len(rows.names) for split, rows in evidence["features"].items()},
        "classifier": options.classifier,
        "labels flipped at random": labels_found(evidence, truth, options.seed, 1),
        "labels flipped in rows of 8": labels_found(evidence, truth, options.seed, 8),
        "planted copies": copies_found(evidence, files, options.seed),
        "as it is": all_found(evidence),
    }
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
