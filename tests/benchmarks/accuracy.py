"""How recipes compare under the protocols: the figures of docs/choosing-the-model.md.

Works on arrays with the modules of `job.vision` and `job.learn`, without Spark, so that dozens of recipes can be
compared. Described pictures are kept in `--cache`. Several `--data` are taken as one data set.

    python tests/benchmarks/accuracy.py choose --data fruits-360 --data fruits-360-more --cache /tmp/accuracy
    python tests/benchmarks/accuracy.py table --data fruits-360 --data fruits-360-more --cache /tmp/accuracy

`choose` looks at training pictures alone, as a choice must. `table` trains on Training and scores on Test. `folded`
sets features that are folded for the classifier beside the same as they are.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

# before numpy is imported, here and in the workers
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from job.learn import intervals, scaling, sketch
from job.learn.calibration import expected_error, temperature
from job.learn.classifiers import CLASSIFIERS, lda
from job.learn.classifiers.base import Trained
from job.learn.encodings import ENCODINGS
from job.learn.frames import frame
from job.learn.moments import Moments, moments
from job.learn.protocols.base import Names
from job.learn.protocols.draw import some
from job.learn.protocols.rotation import turned
from job.vision import augment, disturb
from job.vision.descriptors import DESCRIPTORS
from job.vision.picture import Picture

PART = 250
HALVES = 200
FOLDED = (1300, 3000, 5000)


@dataclass(frozen=True)
class Recipe:
    """Blocks of (descriptor, encoding, words); levels of augmented copies, one each (`strong#2` is another strong one);
    classifier and its shrinkage."""

    blocks: tuple[tuple[str, str, int], ...]
    copies: tuple[str, ...] = ()
    shrinkage: float = 0.02
    classifier: str = "lda"


def blocks(text: str) -> tuple[tuple[str, str, int], ...]:
    """`hsv:root+patches:patches:512`: the encoding may be left out, and so may the words."""
    found = []
    for part in text.split("+"):
        name, _, rest = part.partition(":")
        encoding, _, words = rest.partition(":")
        found.append((name, encoding or DESCRIPTORS.get(name).encoding, int(words or 512)))
    return tuple(found)


HSV = Recipe(blocks("hsv"), classifier="logistic")
# Blocks, levels of the copies, shrinkage of LDA.
_COMPARED = (
    ("hsv+lbp+patches", (), 0.02),
    ("hsv+lbp+patches", ("mild",), 0.02),
    ("hsv+lbp+patches", ("strong",), 0.02),
    ("soft-hsv+lbp+patches", ("mild",), 0.02),
    ("soft-hsv+lbp+patches", ("strong",), 0.02),
    ("soft-hsv+lbp+patches", ("mild", "strong"), 0.02),
    ("soft-hsv+lbp+patches", ("mild", "strong", "strong#2"), 0.02),
    ("soft-hsv+lbp+patches", ("mild", "strong"), 0.1),
    ("soft-hsv+lbp+patches", ("mild", "strong", "strong#2", "strong#3", "strong#4"), 0.02),
    ("soft-hsv+lbp+patches", ("strong", "strong#2", "strong#3", "strong#4"), 0.02),
    ("soft-hsv+lbp", ("strong",), 0.02),
    ("soft-hsv:root+lbp+patches", ("strong",), 0.02),
    ("hsv:fourth-root+lbp+patches", ("strong",), 0.02),
    ("soft-hsv+patches", ("strong",), 0.02),
    ("lbp+patches", ("strong",), 0.02),
    ("soft-hsv+lbp+patches:patches:256", ("strong",), 0.02),
)
CANDIDATES = {
    "hsv, logistic regression": HSV,
    **{
        f"{text}, {' and '.join(copies) or 'no copies'}, {shrinkage}": Recipe(blocks(text), copies, shrinkage)
        for text, copies, shrinkage in _COMPARED
    },
}
ACCURATE = Recipe(blocks("soft-hsv+lbp+patches"), ("mild", "strong", "strong#2"), classifier="rda")
CANDIDATES["accurate"] = ACCURATE
# Local descriptors beside the blocks of the default, and other classifiers.
for _block in ("rootsift:vlad:16", "dense-rootsift:vlad:16", "rootsift:fisher:8", "dense-rootsift:fisher:8"):
    CANDIDATES[f"accurate and {_block}"] = replace(ACCURATE, blocks=(*ACCURATE.blocks, *blocks(_block)))
CANDIDATES["accurate, lda"] = replace(ACCURATE, classifier="lda")
CANDIDATES["accurate, ridge"] = replace(ACCURATE, classifier="ridge")
for _classifier in ("rda", "linear-svm", "logistic"):
    CANDIDATES[f"accurate, no copies, {_classifier}"] = replace(ACCURATE, copies=(), classifier=_classifier)


# ---- described pictures


class Described(NamedTuple):
    """Rows of a descriptor for some pictures, and how many of them each picture has."""

    rows: np.ndarray
    counts: np.ndarray


def _describe(task: tuple[Sequence[str], tuple[str, ...], str, int]) -> dict[str, Described]:
    """Rows of each descriptor for some files, as they are, as the copy of a level, or under a disturbance."""
    files, names, change, seed = task
    cv2.setNumThreads(1)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for file in files:
        picture = Picture.decode(Path(file).read_bytes())
        kind, _, value = change.partition(" ")
        if kind == "copy":
            label, (level, _, number) = "/".join(file.split("/")[-2:]), value.partition("#")
            number = int(number or level == "strong")
            colour = augment.augmented(picture.colour, label, number, seed, augment.LEVELS[level])
            picture = Picture.of(colour[..., ::-1])
        elif kind == "disturbed":
            picture = Picture.of(disturb.disturbed(picture.colour, value)[..., ::-1])
        for name in names:
            found[name].append(DESCRIPTORS.get(name).describe(picture))
    return {name: Described(np.concatenate(rows), np.array([*map(len, rows)])) for name, rows in found.items()}


class Pictures:
    """The files of a split of all data sets, and their rows of descriptors, described once."""

    def __init__(self, roots: Sequence[Path], split: str, cache: Path, workers: int, seed: int) -> None:
        self.files = sorted(str(path) for root in roots for path in (root / split).glob("*/*.jpg"))
        self.names = ["/".join(file.split("/")[-2:]) for file in self.files]
        self.cats = [name.split("/")[0] for name in self.names]
        self.categories = sorted(set(self.cats))
        self.labels = np.searchsorted(self.categories, self.cats)
        self.turned = np.array([bool(turned(name)) for name in self.names])
        self.cache, self.workers, self.seed = cache, workers, seed

    @cached_property
    def arcs(self) -> np.ndarray:
        """Which pictures are between 40 and 65 % of their video: frames that follow each other, so that they
        show another side of the fruit than the others do, as those of Test do."""
        videos: dict[object, list[tuple[int, int]]] = {}
        for row, name in enumerate(self.names):
            if found := frame(name):
                videos.setdefault((self.cats[row], found.video), []).append((found.number, row))
        held = np.zeros(len(self.names), bool)
        for video in map(sorted, videos.values()):
            held[[row for _, row in video[len(video) * 2 // 5 : len(video) * 13 // 20]]] = True
        return held

    def draw(self, count: int, purpose: str, among: np.ndarray) -> np.ndarray:
        return some(Names(self.names, self.cats), count, self.seed, purpose, np.flatnonzero(among).tolist())

    def rows(self, which: np.ndarray, names: Iterable[str], change: str = "") -> dict[str, Described]:
        files, paths = [self.files[row] for row in which], {}
        for name in names:
            key = hashlib.blake2b("\0".join((*files, name, change, str(self.seed))).encode(), digest_size=12)
            paths[name] = self.cache / f"{name}-{key.hexdigest()}.npz"
        missing = tuple(name for name, path in paths.items() if not path.exists())
        if missing:
            tasks = [(files[at : at + PART], missing, change, self.seed) for at in range(0, len(files), PART)]
            with ProcessPoolExecutor(self.workers) as pool:
                parts = list(pool.map(_describe, tasks))
            for name in missing:
                rows, counts = (np.concatenate(each) for each in zip(*(part[name] for part in parts), strict=True))
                np.savez(paths[name], rows=rows, counts=counts)
        found = {}
        for name, path in paths.items():
            with np.load(path) as kept:
                found[name] = Described(kept["rows"], kept["counts"])
        return found


# ---- learning and scoring


def folds(labels: np.ndarray, seed: int, parts: int = 5) -> np.ndarray:
    """The part, 0 to `parts` - 1, in which each row is held out: (n,); each category is spread over all parts."""
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % parts
    return found


class Model:
    """A recipe, learned from some training pictures."""

    def __init__(self, recipe: Recipe, pictures: Pictures, which: np.ndarray, *, calibrated: bool = False) -> None:
        self.recipe = recipe
        changes = ["", *(f"copy {level}" for level in recipe.copies)]
        names = dict.fromkeys(name for name, _, _ in recipe.blocks)
        described = [pictures.rows(which, names, change) for change in changes]
        labels, categories = pictures.labels[which], len(pictures.categories)
        order = np.random.default_rng(pictures.seed).permutation(len(which))
        self.codebooks = []
        for name, encoding, words in recipe.blocks:
            spec, rows = DESCRIPTORS.get(name), described[0][name].rows
            keys = np.random.default_rng(pictures.seed).permutation(len(rows)) if spec.local else order
            sample = rows[keys[: ENCODINGS.get(encoding).sample_size(words, spec.bytes) or 1]]
            fitted = ENCODINGS.get(encoding).fit(spec.unpack(sample), words, quantum=spec.quantum, seed=pictures.seed)
            self.codebooks.append(fitted)
        encoded = [self._encoded(rows) for rows in described]
        parts = [scaling.sums(each) for each in encoded]
        weights = [DESCRIPTORS.get(name).weight for name, _, _ in recipe.blocks] if len(recipe.blocks) > 1 else []
        self.scaling = scaling.fit(sum(parts[1:], parts[0]), weights=weights)
        scaled = [scaling.scale(np.hstack(each), self.scaling) for each in encoded]
        self.classifier = CLASSIFIERS.get(recipe.classifier)
        if self.classifier.from_moments is None:
            self.trained = self.classifier.fit(scaled[0], labels, categories)
            return
        rows, kinds = np.vstack(scaled), np.tile(labels, len(scaled))
        weights = np.repeat([1.0, *(1 / len(recipe.copies) for _ in recipe.copies)], len(which))
        held = folds(labels, pictures.seed) if calibrated else np.zeros(len(which), int)
        held = np.tile(held, len(scaled))
        sums = [moments(rows, kinds, categories, weights, chosen=held == fold) for fold in range(int(held.max()) + 1)]
        total = sum(sums[1:], sums[0])
        self.trained = self._learned(total, rows, kinds, weights)
        if calibrated:
            found, truth = [], []
            for fold, part in enumerate(sums):
                rest, own = held != fold, held == fold
                model = self._learned(total - part, rows[rest], kinds[rest], weights[rest])
                found.append(self.classifier.probabilities(rows[own], model))
                truth.append(kinds[own])
            chances = np.log(np.maximum(np.concatenate(found), 1e-300))
            heat = np.array(temperature(chances, np.concatenate(truth)))
            self.trained = Trained({**self.trained.arrays, "temperature": heat})

    def _learned(self, sums: Moments, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Trained:
        if self.recipe.classifier == "lda":
            shrunk = partial(lda.from_moments, shrinkage=self.recipe.shrinkage)
            return replace(self.classifier, from_moments=shrunk).learned(sums, rows.shape[1])
        trained = self.classifier.learned(sums, rows.shape[1])
        again = self.classifier.seen_again(trained, rows, labels, len(sums.counts), weights)
        return self.classifier.refine(trained, again)

    def _encoded(self, described: dict[str, Described]) -> list[np.ndarray]:
        found = []
        for (name, encoding, _), codebook in zip(self.recipe.blocks, self.codebooks, strict=True):
            rows, counts = DESCRIPTORS.get(name).unpack(described[name].rows), described[name].counts
            pictures = np.repeat(np.arange(len(counts)), counts)
            found.append(ENCODINGS.get(encoding).encode(rows, pictures, len(counts), codebook))
        return found

    def probabilities(self, pictures: Pictures, which: np.ndarray, change: str = "") -> np.ndarray:
        described = pictures.rows(which, dict.fromkeys(name for name, _, _ in self.recipe.blocks), change)
        rows = scaling.scale(np.hstack(self._encoded(described)), self.scaling)
        return self.classifier.probabilities(rows, self.trained)

    def scored(self, pictures: Pictures, which: np.ndarray, change: str = "") -> tuple[np.ndarray, float]:
        """Accuracy of each category, and the expected calibration error."""
        chances, labels = self.probabilities(pictures, which, change), pictures.labels[which]
        by_category = intervals.accuracies(chances.argmax(axis=1) == labels, labels, len(pictures.categories))
        return by_category, expected_error(chances, labels)


# ---- commands


def choose(train: Pictures, recipes: dict[str, Recipe]) -> dict[str, Any]:
    """Rotation and the disturbances of light, on training pictures alone, and all disturbances of a side of the fruit
    that was not learned from; paired differences and halves."""
    kinds = ("dark", "bright", "gamma-0.6", "gamma-1.6", "warm", "cool", "noise", "jpeg-30")
    results: dict[str, dict[str, np.ndarray]] = {}
    for label, recipe in recipes.items():
        own = results[label] = {}
        for name, side in (("plain to r", train.turned == 0), ("r to plain", train.turned == 1)):
            learned = train.draw(50, f"{name} train", side)
            left = side.copy()
            left[learned] = False
            model = Model(recipe, train, learned)
            own[name] = model.scored(train, train.draw(25, f"{name} test", ~side))[0]
            disturbed = train.draw(12, f"{name} disturbed", left)
            for kind in kinds:
                own[f"{kind}, {name}"] = model.scored(train, disturbed, f"disturbed {kind}")[0]
        model = Model(recipe, train, train.draw(50, "arcs train", ~train.arcs))
        scored = train.draw(12, "arcs test", train.arcs)
        own["other side"] = model.scored(train, scored)[0]
        both = [np.nanmean(model.scored(train, scored, f"disturbed {kind}")[0]) for kind in disturb.KINDS]
        own["rotation"] = (own["plain to r"] + own["r to plain"]) / 2
        own["light"] = np.mean([values for key, values in own.items() if "," in key], axis=0)
        worst = min(np.nanmean(values) for key, values in own.items() if "," in key)
        print(
            f"{label:60s} plain to r {intervals.interval(own['plain to r'])}  "
            f"r to plain {intervals.interval(own['r to plain'])}  light {np.nanmean(own['light']):.3f}  "
            f"worst {worst:.3f}  other side {np.nanmean(own['other side']):.3f}, disturbed {np.mean(both):.3f}, worst "
            f"{np.min(both):.3f}",
            flush=True,
        )
    first = next(iter(results))
    for label, own in results.items():
        if label != first:
            less = intervals.difference(own["rotation"], results[first]["rotation"])
            print(f"{label:60s} rotation less {first}: {less}")
    halves(results)
    return {label: {key: values.tolist() for key, values in own.items()} for label, own in results.items()}


def halves(results: dict[str, dict[str, np.ndarray]]) -> None:
    """Choose on one half of the categories by the mean of rotation and light, look at the other; `HALVES` times."""
    random = np.random.default_rng(0)
    labels = list(results)
    both = np.array([(results[label]["rotation"] + results[label]["light"]) / 2 for label in labels])
    chosen: dict[str, int] = dict.fromkeys(labels, 0)
    gains = []
    for _ in range(HALVES):
        order = random.permutation(both.shape[1])
        one, other = np.array_split(order, 2)
        best = int(np.nanmean(both[:, one], axis=1).argmax())
        chosen[labels[best]] += 1
        gains.append(np.nanmean(both[best, other]) - np.nanmean(both[0, other]))
    print(f"chosen on one half: {chosen}")
    print(f"gain over the first on the other half: {np.mean(gains):.3f}, lowest {np.min(gains):.3f}")


def table(train: Pictures, test: Pictures, recipes: dict[str, Recipe]) -> dict[str, Any]:
    """The table of figures on Test."""
    found: dict[str, Any] = {}
    every, test_every = np.ones(len(train.files), bool), np.ones(len(test.files), bool)
    for label, recipe in recipes.items():
        own: dict[str, Any] = {}
        for name, side, other in (
            ("plain to r", ~train.turned, test.turned),
            ("r to plain", train.turned, ~test.turned),
        ):
            model = Model(recipe, train, train.draw(50, name, side), calibrated=True)
            by_category, error = model.scored(test, test.draw(25, name, other))
            own[name] = {"accuracy": by_category.tolist(), "calibration error": error}
        model = Model(recipe, train, train.draw(50, "standard", every), calibrated=True)
        by_category, error = model.scored(test, np.flatnonzero(test_every))
        own["standard"] = {"accuracy": by_category.tolist(), "calibration error": error}
        scored = test.draw(24, "robustness", test_every)
        for kind in disturb.KINDS:
            own[kind] = {"accuracy": model.scored(test, scored, f"disturbed {kind}")[0].tolist()}
        bare = replace(recipe, copies=())
        for count in (1, 5, 10):
            draws = [
                Model(bare, train, train.draw(count, f"few-shot {draw}", every)).scored(test, scored)[0]
                for draw in range(3)
            ]
            own[f"few-shot {count}"] = {"accuracy": np.mean(draws, axis=0).tolist()}
        found[label] = own
        means = {key: float(np.nanmean(value["accuracy"])) for key, value in own.items()}
        robust = [means[kind] for kind in disturb.KINDS]
        print(label)
        for key, value in own.items():
            error = f"  calibration error {value['calibration error']:.3f}" if "calibration error" in value else ""
            print(f"  {key:14s} {intervals.interval(np.array(value['accuracy']))}{error}")
        print(f"  robustness     mean {np.mean(robust):.3f}, worst {min(robust):.3f}", flush=True)
    return found


def folded(train: Pictures) -> dict[str, Any]:
    """Rotation with so many words that features are folded (`job.learn.sketch`), and as they are."""
    found: dict[str, Any] = {}
    for words in FOLDED:
        recipe = Recipe(blocks(f"soft-hsv+lbp+patches:patches:{words}"))
        for name, side in (("plain to r", train.turned == 0), ("r to plain", train.turned == 1)):
            learned, scored = train.draw(50, f"{name} train", side), train.draw(25, f"{name} test", ~side)
            for label, most in (("folded", sketch.MOST_WIDTH), ("as they are", 1 << 20)):
                before, sketch.MOST_WIDTH = sketch.MOST_WIDTH, most
                try:
                    model = Model(recipe, train, learned)
                    own = model.scored(train, scored)[0]
                finally:
                    sketch.MOST_WIDTH = before
                found[f"{words} words, {name}, {label}"] = own.tolist()
                width = sum(model.scaling.widths)
                print(f"{words} words, {width} features, {name}, {label}: {intervals.interval(own)}", flush=True)
    return found


def cost(pictures: Pictures, recipe: Recipe, count: int = 400) -> float:
    """Milliseconds of one core that reading, describing and encoding a picture take, the fastest of three."""
    which = pictures.draw(-(-count // len(pictures.categories)), "cost", np.ones(len(pictures.files), bool))
    model = Model(replace(recipe, copies=()), pictures, which)
    cv2.setNumThreads(1)
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        for row in which:
            picture = Picture.decode(Path(pictures.files[row]).read_bytes())
            rows = {name: DESCRIPTORS.get(name).describe(picture) for name, _, _ in recipe.blocks}
            model._encoded({name: Described(own, np.array([len(own)])) for name, own in rows.items()})
        best = min(best, (time.process_time() - begun) / len(which))
    return best * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["choose", "table", "folded", "cost"])
    parser.add_argument("--data", type=Path, action="append", required=True, help="holds Training and Test; repeatable")
    parser.add_argument("--cache", type=Path, required=True, help="folder of described pictures")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--json", type=Path, help="writes accuracies by category")
    parser.add_argument("--only", nargs="*", help="labels of the candidates of `choose`")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    train, test = (
        Pictures(options.data, s, options.cache, options.workers, options.seed) for s in ("Training", "Test")
    )
    if options.command == "cost":
        print(f"{cost(train, ACCURATE):.2f} ms a picture")
        return
    if options.command == "choose":
        found = choose(train, {name: CANDIDATES[name] for name in options.only or CANDIDATES})
    elif options.command == "folded":
        found = folded(train)
    else:
        found = table(train, test, {"accurate": ACCURATE, "hsv, logistic regression": HSV})
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
