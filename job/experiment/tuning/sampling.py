"""Candidates of a space that is too large to be compared whole: Optuna asks for some, and is told how they did."""

import itertools
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from job.errors import UsageError
from job.experiment.recipe import Recipe
from job.experiment.tuning.candidates import candidate
from job.settings import Settings

BATCH = 4
"""Candidates that are asked for at a time, whatever the number of cores, so that they are the same anywhere."""

Space = Mapping[str, Sequence[Any]]
"""Values by setting."""


def check() -> None:
    """Raises UsageError where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise UsageError("--trials needs Optuna, which is not installed: pip install 'fruits-job[tune]'.")


class Sampler:
    """Asks for settings by a tree of Parzen estimators (Bergstra et al., 2011), the same ones for the same seed and
    answers."""

    def __init__(self, space: Space, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed % 2**32))
        self._wanted: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution(list(values)) for name, values in space.items()
        }
        self._failed = optuna.trial.TrialState.FAIL

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """A trial, and its settings."""
        trial = self._study.ask(fixed_distributions=self._wanted)
        return trial, dict(trial.params)

    def tell(self, trial: Any, accuracy: float | None) -> None:
        """How the trial did; None: it failed."""
        if accuracy is None:
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, accuracy)


def span(space: Space, base: Settings) -> list[Recipe]:
    """Recipes that together have all descriptors, copies and words of a space."""
    heads = [{key: value} for key in ("features", "descriptor", "preset") for value in space.get(key, ())]
    words = {"words": max(space["words"])} if "words" in space else {}
    copies = [{"augment": value, "classifier": "lda"} for value in space.get("augment", ())]
    grounds = [{"keep_background": value} for value in space.get("keep_background", ())]
    found = []
    for head, copied, ground in itertools.product(heads or [{}], [{}, *copies], grounds or [{}]):
        recipe = candidate("", {**head, **words, **copied, **ground}, base).recipe
        if recipe is not None and recipe not in found:
            found.append(recipe)
    return found
