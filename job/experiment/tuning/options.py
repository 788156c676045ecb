"""What a comparison is asked for beside the settings of a run, and what must be the same to go on with one."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job import dataset
from job.experiment.tuning.candidates import Field
from job.experiment.tuning.sampling import Space
from job.settings import Settings


@dataclass(frozen=True)
class Options:
    """What a comparison has beside the settings of a run.

    Attributes
    ----------
    field
        The candidates.
    folds
        Number of folds.
    group_by
        Pattern of names whose pictures stay together, or None.
    budget
        Seconds after which no new work is begun, or None.
    resume
        Whether to go on with what an earlier attempt left under the same name.
    trials
        Number of candidates that are sought in `space`, beside those of the field.
    space
        Values by setting.

    """

    field: Field
    folds: int = 5
    group_by: str | None = None
    budget: float | None = None
    resume: bool = False
    trials: int = 0
    space: Space = dataclasses.field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "candidates": [one.name for one in self.field.candidates],
            "folds": self.folds,
            "group_by": self.group_by,
            "budget_seconds": self.budget,
            **({"trials": self.trials, "space": dict(self.space)} if self.trials else {}),
        }


def work_of(settings: Settings, options: Options, images: Mapping[str, dataset.Images]) -> dict[str, Any]:
    """What must be the same for an attempt to be gone on with."""
    return {
        "kind": "tune",
        "listing_sha256": {split: found.digest() for split, found in images.items()},
        "candidates": sorted(one.key for one in options.field.candidates),
        "folds": options.folds,
        "group_by": options.group_by,
        **({"trials": options.trials, "space": dict(options.space)} if options.trials else {}),
        "protocol": settings.protocol,
        "seed": settings.seed,
    }
