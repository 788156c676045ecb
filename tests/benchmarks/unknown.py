"""Pictures of categories that a model has never seen: how many `--reject-below P` answers with `unknown`, and how many
pictures of the categories it knows that costs.

    python tests/benchmarks/unknown.py --data fruits-360 --cache /tmp/accuracy [--folds 4] [--pictures 50]

The categories are dealt into folds. For each fold, the default recipe learns from training pictures of all the others,
and is asked about Test's pictures of those others (known) and of the fold (unknown). Works without Spark, as
`accuracy.py` does, whose described pictures it shares.

Beside the probability, which is what `--reject-below` looks at, other scores are compared by the area under the curve
(AUROC: how often a known picture has the higher score than an unknown one), by how many of the unknown are rejected
where 5 % of the known ones are, and by how many of the known ones in another light are then (dark, warm, noise):

`margin`       the first probability less the second
`energy`       the logarithm of the sum of the exponents of all scores (Liu et al., 2020)
`subspace`     minus the distance to the nearest category in the space that the discriminants span (Lee et al., 2018)
`mean`         minus the distance of the scaled features to the mean of the predicted category
`built in`     minus the distance by which `--reject-unknown` tells, as a saved model has it (`job.learn.unknown`)
`worst block`  the same, of the block of features that is farthest, in units of that block's distance in training
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accuracy import ACCURATE, Model, Pictures  # isort: skip  # it sets the threads of BLAS before numpy is imported
import measure
import numpy as np

from job.learn import scaling, unknown
from job.learn.classifiers import lda
from job.learn.classifiers.base import Trained
from job.learn.classifiers.linear import scores as linear_scores
from job.learn.halves import held_out
from job.learn.moments import moments

LIGHT_PICTURES = 12
LIGHT = ("dark", "warm", "noise")
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class Judge:
    """A model, and what is needed for scores that it does not store."""

    def __init__(self, pictures: Pictures, which: np.ndarray) -> None:
        self.model = Model(ACCURATE, pictures, which, calibrated=True)
        self._names = dict.fromkeys(name for name, _, _ in ACCURATE.blocks)
        labels = pictures.labels[which]
        self._there = np.unique(labels)
        rows = self._features(pictures, which)
        self._means = np.array([rows[labels == label].mean(axis=0) for label in self._there])
        ends = np.cumsum(self.model.scaling.widths)
        self._blocks = [slice(end - width, end) for end, width in zip(ends, self.model.scaling.widths, strict=True)]
        own = self._means[np.searchsorted(self._there, labels)]
        self._usual = [np.sqrt(((rows - own)[:, part] ** 2).sum(axis=1).mean()) for part in self._blocks]
        # products with the coefficients are coordinates; within a category these have a covariance of the same products
        coefficients = self.model.trained.arrays["coefficients"][self._there]
        self._inside = coefficients @ self._means.T
        self._centres = self._means @ coefficients.T
        self._coefficients = coefficients
        self.knowing, self.limits = self._built_in(pictures, which, labels)

    def _built_in(self, pictures: Pictures, which: np.ndarray, labels: np.ndarray) -> tuple[Trained, np.ndarray]:
        """The classifier with distances, and the limit for each of SHARES, as `CategoryClassifier` finds them."""
        count, copies = len(pictures.categories), self.model.recipe.copies
        rows = [self._features(pictures, which, change) for change in ("", *(f"copy {level}" for level in copies))]
        held = held_out([pictures.names[row] for row in which], pictures.seed)

        def learned(chosen: np.ndarray) -> Trained:
            plain = moments(rows[0][chosen], labels[chosen], count)
            weights = np.full(chosen.sum(), 1 / max(len(copies), 1))
            changed = [moments(each[chosen], labels[chosen], count, weights) for each in rows[1:]]
            return lda.LDA.with_distances(lda.from_moments(sum(changed, plain)), plain.counts, plain.means)

        kept = unknown.quantiles(lda.LDA.distances(rows[0][held], learned(~held)))
        return learned(held | ~held), np.array([unknown.farthest(kept, share) for share in SHARES])

    def _features(self, pictures: Pictures, which: np.ndarray, change: str = "") -> np.ndarray:
        described = pictures.rows(which, self._names, change)
        return scaling.scale(np.hstack(self.model._encoded(described)), self.model.scaling)

    def scores(self, pictures: Pictures, which: np.ndarray, change: str = "") -> dict[str, np.ndarray]:
        """By the name of a score: the higher, the more it is a category that the model knows."""
        rows = self._features(pictures, which, change)
        values = linear_scores(rows, self.model.trained)[:, self._there]
        chances = self.model.classifier.probabilities(rows, self.model.trained)[:, self._there]
        ordered = np.sort(chances, axis=1)
        away = rows - self._means[values.argmax(axis=1)]
        inverse = np.linalg.pinv((self._inside + self._inside.T) / 2, rcond=1e-6)
        between = (rows @ self._coefficients.T)[:, None, :] - self._centres[None]
        inside = np.einsum("nci,ij,ncj->nc", between, inverse, between)
        blocks = [np.sqrt((away[:, part] ** 2).sum(axis=1)) / usual
                  for part, usual in zip(self._blocks, self._usual, strict=True)]  # fmt: skip
        highest = values.max(axis=1)
        return {
            "probability": ordered[:, -1],
            "margin": ordered[:, -1] - ordered[:, -2],
            "energy": highest + np.log(np.exp(values - highest[:, None]).sum(axis=1)),
            "subspace": -inside.min(axis=1),
            "built in": -lda.LDA.distances(rows, self.knowing),
            "mean": -np.sqrt((away**2).sum(axis=1)),
            "worst block": -np.max(blocks, axis=0),
        }


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """How often a known picture has the higher score than an unknown one; equal scores count half."""
    ordered = np.sort(unknown)
    below, upto = np.searchsorted(ordered, known, "left"), np.searchsorted(ordered, known, "right")
    return float((below + upto).mean() / (2 * len(unknown)))


def summary(known: np.ndarray, unknown: np.ndarray, light: np.ndarray) -> dict[str, float]:
    """The area, and those below what 95 % of the known ones reach: unknown ones, and known ones in another light."""
    least = np.quantile(known, 0.05)
    return {
        "auroc": round(auroc(known, unknown), 4),
        "rejected_at_5": round(float((unknown < least).mean()), 4),
        "light_rejected_at_5": round(float((light < least).mean()), 4),
    }


def curve(known: np.ndarray, unknown: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Of each threshold: the shares rejected, and how often a known picture that is not rejected is right."""
    found = []
    for least in THRESHOLDS:
        kept = known >= least
        found.append(
            {
                "reject_below": least,
                "unknown_rejected": round(float((unknown < least).mean()), 4),
                "known_rejected": round(float((~kept).mean()), 4),
                "known_right": round(float(right[kept].mean()) if kept.any() else 1.0, 4),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="holds Training and Test; repeatable")
    parser.add_argument("--cache", type=Path, required=True, help="folder of described pictures")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=50, help="training pictures of a category")
    parser.add_argument("--test-pictures", type=int, default=50, help="pictures of a category that are asked about")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=123)
    measure.add_results_option(parser)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    train, test = (
        Pictures(options.data, split, options.cache, options.workers, options.seed) for split in ("Training", "Test")
    )
    dealt = np.random.default_rng(options.seed).permutation(len(train.categories)) % options.folds
    asked = test.draw(options.test_pictures, "unknown test", np.ones(len(test.files), bool))
    disturbed = test.draw(LIGHT_PICTURES, "unknown light", np.ones(len(test.files), bool))
    known: dict[str, list[np.ndarray]] = {}
    limits: list[np.ndarray] = []
    others: dict[str, list[np.ndarray]] = {}
    light: dict[str, list[np.ndarray]] = {}
    right: list[np.ndarray] = []
    by_category: dict[str, float] = {}
    for fold in range(options.folds):
        judge = Judge(train, train.draw(options.pictures, "unknown train", dealt[train.labels] != fold))
        out = dealt[test.labels[asked]] == fold
        for found, which in ((known, asked[~out]), (others, asked[out])):
            for name, values in judge.scores(test, which).items():
                found.setdefault(name, []).append(values)
        in_light = [
            judge.scores(test, disturbed[dealt[test.labels[disturbed]] != fold], f"disturbed {kind}") for kind in LIGHT
        ]
        for name in known:
            light.setdefault(name, []).append(np.concatenate([each[name] for each in in_light]))
        chances = judge.model.probabilities(test, asked[~out])
        limits.append(judge.limits)
        right.append(chances.argmax(axis=1) == test.labels[asked[~out]])
        for label in np.flatnonzero(dealt == fold):
            own = others["probability"][-1][test.labels[asked[out]] == label]
            by_category[train.categories[label]] = round(float((own < 0.5).mean()), 3)
    tell(options, known, others, light, limits, np.concatenate(right), by_category)


def beyond(found: list[np.ndarray], limits: list[float]) -> float:
    """The share of the pictures of all folds whose distance is above the fold's limit; scores are minus distances."""
    return round(float(np.concatenate([-own > limit for own, limit in zip(found, limits, strict=True)]).mean()), 4)


def tell(
    options: argparse.Namespace,
    known: Mapping[str, list[np.ndarray]],
    others: Mapping[str, list[np.ndarray]],
    light: Mapping[str, list[np.ndarray]],
    limits: list[np.ndarray],
    right: np.ndarray,
    by_category: Mapping[str, float],
) -> None:
    joined = {name: (np.concatenate(values), np.concatenate(others[name])) for name, values in known.items()}
    figures: dict[str, Any] = {
        "folds": options.folds,
        "pictures": options.pictures,
        "known": len(right),
        "unknown": len(joined["probability"][1]),
        "curve": curve(*joined["probability"], right),
        "by_share": [
            {"reject_unknown": share}
            | {
                name: beyond(scores["built in"], [limit[place] for limit in limits])
                for name, scores in (("unknown_rejected", others), ("known_rejected", known), ("light_rejected", light))
            }
            for place, share in enumerate(SHARES)
        ],
        # of each fold, then their mean: scores of two models need not be comparable
        "scores": {
            name: {
                key: [each[key] for each in map(summary, values, others[name], light[name])]
                for key in ("auroc", "rejected_at_5", "light_rejected_at_5")
            }
            for name, values in known.items()
        },
        "unknown_rejected_below_0.5": dict(sorted(by_category.items(), key=lambda item: item[1])),
    }
    print(json.dumps(figures, indent=2))
    print(
        "\n| `--reject-below` | unknown rejected | known rejected | known and not rejected: right |\n|---|---|---|---|"
    )
    for row in figures["curve"]:
        print(f"| {row['reject_below']:g} | {row['unknown_rejected']:.3f} | {row['known_rejected']:.3f} "
              f"| {row['known_right']:.3f} |")  # fmt: skip
    print("\n| `--reject-unknown` | unknown rejected | known rejected | known in another light |\n|---|---|---|---|")
    for row in figures["by_share"]:
        print(f"| {row['reject_unknown']:g} | {row['unknown_rejected']:.3f} | {row['known_rejected']:.3f} "
              f"| {row['light_rejected']:.3f} |")  # fmt: skip
    print(
        "\n| score | AUROC | unknown rejected where 5 % of the known are | known in another light |\n|---|---|---|---|"
    )
    for name, row in figures["scores"].items():
        print(f"| {name} | {np.mean(row['auroc']):.3f} | {np.mean(row['rejected_at_5']):.3f} "
              f"| {np.mean(row['light_rejected_at_5']):.3f} |")  # fmt: skip
    measure.record("unknown", figures, options.results)


if __name__ == "__main__":
    main()
