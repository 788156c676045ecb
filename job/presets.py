"""Presets: named values of settings. One entry is one line in the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job.registry import Registry


@dataclass(frozen=True)
class Preset:
    """A name's settings.

    Attributes
    ----------
    help
        What it is, for the command's help.
    values
        Values of settings, as they are after parsing.
    alone
        Name of the preset whose values count where a single descriptor is asked for in place of this one's blocks of
        features; None: its own.

    """

    help: str
    values: Mapping[str, Any]
    alone: str | None = None


# Classifiers that weigh pictures. A preset's changed copies, which need that, are left out for any other classifier.
WEIGHING = ("lda", "rda", "ridge")

PRESETS: Registry[Preset] = Registry(
    "preset",
    {
        # Chosen in docs/choosing-the-model.md.
        "accurate": Preset(
            "the best known: colours, texture and small patches",
            {
                "features": "soft-hsv+lbp+patches",
                "words": 512,
                "vocabulary_sample": "default",
                "classifier": "rda",
                "augment": "mild+strong+strong",
            },
            alone="sift",
        ),
        "sift": Preset(
            "the best of local descriptors alone",
            {"descriptor": "rootsift", "words": 500, "vocabulary_sample": "default", "classifier": "logistic"},
        ),
        "fast": Preset(
            "the cheapest useful one: a histogram of colours",
            {
                "features": "hsv",
                "words": 100,
                "vocabulary_sample": "default",
                "classifier": "logistic",
            },
            alone="sift",
        ),
        # The prototype's algorithm with its parameters, so that the two can be compared.
        "reference": Preset(
            "the prototype's algorithm",
            {"descriptor": "sift", "words": 50, "vocabulary_sample": "all", "classifier": "mlp"},
        ),
    },
)
