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

    """

    help: str
    values: Mapping[str, Any]


PRESETS: Registry[Preset] = Registry(
    "preset",
    {
        # The prototype's algorithm with its parameters, so that the two can be compared.
        "reference": Preset(
            "the prototype's algorithm",
            {"descriptor": "sift", "words": 50, "vocabulary_sample": "all", "classifier": "mlp"},
        ),
        "accurate": Preset(
            "the best known",
            {"descriptor": "rootsift", "words": 500, "vocabulary_sample": "default", "classifier": "logistic"},
        ),
        "fast": Preset(
            "the cheapest",
            {"descriptor": "orb", "words": 100, "vocabulary_sample": "default", "classifier": "logistic"},
        ),
    },
)
