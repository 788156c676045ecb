"""The scaling law: seconds of an operation from the number of pictures and of cores, fitted to a benchmark.

Amdahl's law with work that grows with the pictures: `seconds = a + b n + c n / p`, where `n` are the pictures of the
operation's split in thousands and `p` the cores. `a` is start-up, `b` the driver's part, `c` the executors'. None of
them is negative (non-negative least squares of relative errors), so that no extrapolation gets below nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from job.benchmark.record import Benchmark, Key, MeasuredRun
from job.errors import UserError
from job.experiment.recipe import blocks_of
from job.learn.encodings import ENCODINGS
from job.vision.descriptors import DESCRIPTORS

_DRAWS = 200
_LEVEL = (5.0, 95.0)
# Pictures are counted in thousands.
_UNIT = 1000.0
REST = ("rest", "all")
"""Seconds of a run that no operation accounts for."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """The fitted law of every operation.

    parameters: float64 (operations, 3), `a, b, c`; draws: the same from resampled runs, (draws, operations, 3); noise:
    the runs' totals over the fitted ones; descriptors: of a picture; sample: the most descriptors that the vocabulary
    is trained on (0: on all); error: median relative error of the fitted totals, worst: the largest.
    """

    keys: list[Key]
    parameters: Array
    draws: Array
    noise: Array
    train_share: float
    descriptors: float
    sample: int
    error: float
    worst: float

    def seconds(self, pictures: float, cores: float) -> dict[Key, float]:
        """Of each operation, for so many pictures in all."""
        values = np.sum(self._features(pictures, cores) * self.parameters, axis=1)
        return dict(zip(self.keys, map(float, values), strict=True))

    def total(self, pictures: float, cores: float) -> tuple[float, float, float]:
        """Seconds of the whole run, and the 90 % interval around it."""
        features = self._features(pictures, cores)
        middle = float(np.sum(features * self.parameters))
        drawn = np.sum(features * self.draws, axis=(1, 2))
        low, high = np.percentile(np.outer(drawn, self.noise), _LEVEL)
        return middle, float(min(low, middle)), float(max(high, middle))

    def _features(self, pictures: float, cores: float) -> Array:
        return np.array(
            [features(key, pictures * self._share(key), cores, self.descriptors, self.sample) for key in self.keys]
        )

    def _share(self, key: Key) -> float:
        return {"train": self.train_share, "test": 1.0 - self.train_share}.get(key[1], 1.0)


def features(key: Key, pictures: float, cores: float, descriptors: float, sample: int) -> list[float]:
    """What the three parameters are multiplied by. The driver's part of the vocabulary stops growing where its sample
    is full."""
    serial = pictures / _UNIT
    if key[0] == "fit_vocabulary" and sample and descriptors:
        serial = min(serial, sample / descriptors / _UNIT)
    return [1.0, serial, pictures / _UNIT / cores]


def fit(benchmark: Benchmark, seed: int = 0) -> Law:
    """The law of a benchmark. Raises UserError when it has too few runs to tell the parts apart."""
    runs = benchmark.measured()
    if len({run.point.executors for run in runs}) < 2:
        raise UserError(
            "The benchmark has one number of executors only, so that what more of them give can't be told: "
            "measure two or more with `fruits benchmark --executors 1,2,4`."
        )
    keys = [key for key in runs[0].seconds if key != ("total", "all") and all(key in run.seconds for run in runs)]
    images = sum(run.images["train"] for run in runs)
    share = images / sum(run.pictures for run in runs)
    descriptors = sum(run.descriptors["train"] for run in runs) / images
    # on fewer descriptors than there are: the sample is full
    full = [run.trained_on for run in runs if run.trained_on < run.descriptors["train"]]
    sample = max(full, default=0) or _sample(benchmark)
    known = (share, descriptors, sample)
    whole = _parameters(keys, runs, benchmark.cores, known)
    draw = np.random.default_rng(seed)
    draws = np.array([_parameters(keys, _resampled(runs, draw), benchmark.cores, known) for _ in range(_DRAWS)])
    law = Law([*keys, REST], whole, draws, np.ones(1), share, descriptors, sample, 0.0, 0.0)
    fitted = np.array([law.total(run.pictures, run.point.executors * benchmark.cores)[0] for run in runs])
    ratios = np.array([run.total for run in runs]) / fitted
    errors = np.abs(ratios - 1.0)
    return Law(
        law.keys, whole, draws, ratios, share, descriptors, sample, float(np.median(errors)), float(errors.max())
    )


def measured_sizes(benchmark: Benchmark) -> list[int]:
    """Numbers of pictures that were measured, ascending."""
    return sorted({run.pictures for run in benchmark.measured()})


def _sample(benchmark: Benchmark) -> int:
    """Descriptors that the settings train the vocabulary on; 0: all. Where pictures have one row of each of several
    descriptors, as many rows of all of them as the pictures have that words are drawn from."""
    settings = benchmark.settings
    wanted = settings.get("vocabulary_sample", "default")
    if wanted == "all":
        return 0
    blocks = blocks_of(settings.get("features"), settings.get("descriptor") or "sift", int(settings.get("words", 0)))
    sizes = [
        ENCODINGS.get(block.encoding).sample_size(block.words, DESCRIPTORS.get(block.descriptor).bytes)
        for block in blocks
    ]
    rows = len({block.descriptor for block in blocks if not DESCRIPTORS.get(block.descriptor).local})
    return max(1, rows) * (max(sizes) if wanted == "default" else int(wanted))


def _resampled(runs: Sequence[MeasuredRun], draw: np.random.Generator) -> list[MeasuredRun]:
    """As many runs at each point as were made there, drawn among them with replacement."""
    points: dict[tuple[int, int], list[MeasuredRun]] = {}
    for run in runs:
        points.setdefault((run.point.executors, run.pictures), []).append(run)
    return [own[number] for own in points.values() for number in draw.integers(len(own), size=len(own))]


def _parameters(keys: Sequence[Key], runs: Sequence[MeasuredRun], cores: int, known: tuple[float, float, int]) -> Array:
    """`a, b, c` of each operation and of the rest."""
    from scipy.optimize import nnls

    _, descriptors, sample = known
    found = []
    for key in [*keys, REST]:
        matrix = np.array(
            [
                features(key, run.images.get(key[1], run.pictures), run.point.executors * cores, descriptors, sample)
                for run in runs
            ]
        )
        taken = np.array(
            [
                run.seconds[key] if key != REST else max(0.0, run.total - sum(run.seconds[name] for name in keys))
                for run in runs
            ]
        )
        # relative errors: a small set counts as much as a large one; below 10 ms it is the clock's
        weight = 1.0 / np.maximum(taken, 0.01)
        # columns of about the same size, lest the solver's tolerance swallow the small ones
        scale = np.maximum(np.abs(matrix * weight[:, None]).max(axis=0), 1e-12)
        found.append(nnls(matrix * weight[:, None] / scale, taken * weight)[0] / scale)
    return np.array(found)
