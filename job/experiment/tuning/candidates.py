"""What is compared: recipes by the names of presets, by blocks of features, or by a grid of settings."""

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job.errors import UsageError
from job.experiment.choices import choices
from job.experiment.recipe import Recipe
from job.experiment.rounds import BESIDE
from job.learn.classifiers import CLASSIFIERS
from job.learn.encodings import ENCODINGS
from job.near_miss import did_you_mean
from job.presets import PRESETS
from job.registry import Registry
from job.settings import Settings, resolve
from job.vision import descriptors
from job.vision.descriptors import DESCRIPTORS

SETTINGS = (
    "preset",
    "descriptor",
    "features",
    "words",
    "components",
    "vocabulary_sample",
    "classifier",
    "augment",
    "keep_background",
)
"""Settings of `fruits run` that make a recipe, which are what candidates may differ in."""

DEFAULTS = (
    "accurate",
    "fast",
    "sift",
    "hsv+lbp/lda",
    "soft-hsv/lda/strong",
    "soft-hsv+lbp/lda/strong",
    "soft-hsv+lbp+patches/lda/off",
    "soft-hsv+lbp+patches/lda/strong",
    "soft-hsv+lbp+patches/ridge/strong",
    "soft-hsv+lbp+patches:patches:128/lda/strong",
    "soft-hsv+rootsift:vlad:16/lda/off",
    "lbp+patches:patches:128/lda/strong",
)
"""What is compared where nothing is asked for."""

DEFAULT = str(Settings.__dataclass_fields__["preset"].default)
"""The preset that `fruits run` takes unless another is asked for."""

HSV = "hsv:root/logistic"
_REGISTRIES: Mapping[str, Registry[Any]] = {"preset": PRESETS, "descriptor": DESCRIPTORS, "classifier": CLASSIFIERS}
COPIED = 1_000_000
"""Candidates learn from copies of so many pictures of a category, so of all: they share what is described."""
# A grid of more is surely a slip of the pen.
_MOST = 200


@dataclass(frozen=True)
class Candidate:
    """One of the recipes that are compared.

    Attributes
    ----------
    name
        What the results call it.
    given
        The settings of `fruits run` that make it, beside the defaults.
    settings, recipe
        All settings, and the plan that they are; None where they can't be meant together.
    problem
        Why they can't; empty where they can.

    """

    name: str
    given: Mapping[str, Any]
    settings: Settings | None
    recipe: Recipe | None
    problem: str = ""

    @property
    def key(self) -> str:
        """Of the same recipe the same text, which can be part of a file's name."""
        content = {"given": dict(self.given)} if self.recipe is None else self.recipe.public()
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Field:
    """All candidates, each recipe once.

    Attributes
    ----------
    candidates
        In the order in which they were named; the default and the bare histogram of colours are always among them.
    default, hsv
        The places of these two.
    same
        Names that were left out, by the candidate that is the same recipe.

    """

    candidates: tuple[Candidate, ...]
    default: int
    hsv: int
    same: Mapping[str, str]


def field_of(given: Iterable[Candidate], base: Settings) -> Field:
    """These candidates, the default and the bare histogram of colours. UsageError where not one of those given can be
    made."""
    named = list(given)
    if named and not any(candidate.recipe for candidate in named):
        raise UsageError(f"None of the candidates can be made; the first one: {named[0].problem}")
    default = candidate(DEFAULT, {"preset": DEFAULT}, base)
    hsv = candidate(HSV, {"features": "hsv:root", "classifier": "logistic"}, base)
    assert hsv.recipe is not None
    assert hsv.recipe.blocks == BESIDE["hsv"].blocks
    found: dict[Any, Candidate] = {}
    same: dict[str, str] = {}
    for one in [*named, default, hsv]:
        recipe = one.recipe or one.name
        known = found.setdefault(recipe, one)
        if known is not one and known.name != one.name and one not in (default, hsv):
            same[one.name] = known.name
    kept = _distinct(found.values())
    places = {one.recipe: place for place, one in enumerate(kept)}
    return Field(kept, places[default.recipe], places[hsv.recipe], same)


def _distinct(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The same, each with a name of its own."""
    names: dict[str, int] = {}
    kept = []
    for one in found:
        count = names[one.name] = names.get(one.name, 0) + 1
        kept.append(one if count == 1 else replace(one, name=f"{one.name} ({count})"))
    return tuple(kept)


def candidate(name: str, given: Mapping[str, Any], base: Settings) -> Candidate:
    """A candidate of these settings. One that can't be made keeps the reason."""
    flags: dict[str, Any] = {"seed": str(base.seed), "protocol": base.protocol, **given}
    try:
        settings = resolve(flags, {}, choices=choices())
        if settings.augment not in (None, "off"):
            settings = replace(settings, augment_images=COPIED)
        return Candidate(name, given, settings, Recipe.of(settings))
    except UsageError as error:
        return Candidate(name, given, None, None, error.message)


# ---- by name


def named(text: str, base: Settings) -> list[Candidate]:
    """Candidates such as `accurate,fast,hsv:root/logistic,soft-hsv+lbp/lda/strong`.

    Each is a preset or blocks of features, then after slashes a classifier and levels of augmentation, where they are
    to be others than `fruits run` would take. UsageError, with what was likely meant, for a name that there is not.
    """
    found = []
    for item in dict.fromkeys(part.strip() for part in text.split(",") if part.strip()):
        head, *rest = item.split("/")
        if len(rest) > 2 or not head:
            raise UsageError(
                f"--candidates has '{item}': write a preset or blocks of features, then /CLASSIFIER and /AUGMENT where "
                "they are to differ, such as accurate, hsv+lbp/logistic or hsv+lbp/lda/strong."
            )
        given = {"preset" if head in PRESETS else "features": head}
        given |= {name: value for name, value in zip(("classifier", "augment"), rest, strict=False) if value}
        for name, value in given.items():
            _check(name, value, f"--candidates has '{item}'")
        found.append(candidate(item, given, base))
    if not found:
        raise UsageError("--candidates is empty: name presets or blocks of features, separated by commas.")
    return found


# ---- by a grid


def grid(path: str, base: Settings) -> list[Candidate]:
    """Candidates of a TOML file: keys are settings of `fruits run` with a value or a list of values, of which every
    combination is one; each table `[[candidate]]` is a grid of its own, and may have a `name`.

    Raises
    ------
    UsageError
        The file can't be read, names what there is not, or has too many combinations.

    """
    content = _read(path)
    tables = content.pop("candidate", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"'candidate' in {path} must be tables: write [[candidate]] above each.")
    grids = [*([content] if content else []), *tables]
    found = [one for values in grids for one in _product(values, path, base)]
    if not found:
        raise UsageError(
            f"The grid '{path}' is empty: give settings of `fruits run` values, such as words = [256, 512]."
        )
    if len(found) > _MOST:
        raise UsageError(f"The grid '{path}' has {len(found)} combinations, more than {_MOST}: leave out values.")
    return found


def space(path: str) -> dict[str, list[Any]]:
    """The values by setting of a grid that has no tables. UsageError as for `grid`, and where there are tables."""
    content = _read(path)
    if "candidate" in content or not content:
        raise UsageError(
            f"--trials needs a grid of settings with lists of values, and '{path}' has "
            f"{'tables [[candidate]]' if content else 'none'}: give values to settings above all tables."
        )
    return _lists(content, path)


def _read(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The grid '{path}' can't be read ({error.strerror}): check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The grid '{path}' is no valid TOML: {error}.") from None


def _lists(values: Mapping[str, Any], path: str) -> dict[str, list[Any]]:
    """The values of a table as lists. UsageError for a setting or a value that there is not."""
    own = {key.replace("-", "_"): value for key, value in values.items()}
    lists = {key: value if isinstance(value, list) else [value] for key, value in own.items()}
    for key, listed in lists.items():
        if key not in SETTINGS:
            raise UsageError(
                f"The grid '{path}' has the key '{key}', which is no part of a recipe{did_you_mean(key, SETTINGS)}: "
                f"choose one of {', '.join(SETTINGS)}."
            )
        if not listed:
            raise UsageError(f"'{key}' in {path} is empty: give it a value, or leave it out.")
        for value in listed:
            _check(key, value, f"'{key}' in {path} is '{value}'")
            _check_alone(key, value, path)
    return lists


def _product(values: Mapping[str, Any], path: str, base: Settings) -> list[Candidate]:
    """Every combination of the values of a table."""
    name = values.get("name")
    lists = _lists({key: value for key, value in values.items() if key != "name"}, path)
    count = math.prod(len(listed) for listed in lists.values())
    if count > _MOST:
        raise UsageError(
            f"The grid '{path}' has {count} combinations, more than {_MOST}: leave out values, or have some tried by "
            "--trials."
        )
    found = []
    for combination in itertools.product(*lists.values()):
        given = dict(zip(lists, combination, strict=True))
        shown = str(name) if name is not None and count == 1 else name_of(given, "" if name is None else f"{name}: ")
        found.append(candidate(shown, given, base))
    return found


def _check_alone(key: str, value: Any, path: str) -> None:
    """Raises UsageError where no candidate could have this value. Several values may still not go together."""
    try:
        resolve({key: value} if not isinstance(value, list) else {key: str(value)}, {}, choices=choices())
    except UsageError as error:
        if error.message.startswith(f"--{key.replace('_', '-')} is '"):
            rest = error.message.removeprefix(f"--{key.replace('_', '-')} ")
            raise UsageError(f"'{key}' in {path} {rest}") from None


def name_of(given: Mapping[str, Any], before: str = "") -> str:
    """What a candidate of these settings is called: `hsv+lbp/lda/strong words=256`."""
    heads = [str(given[key]) for key in ("features", "descriptor", "preset") if key in given]
    parts = [heads[0] if heads else DEFAULT]
    if "augment" in given or "classifier" in given:
        parts.append(str(given.get("classifier", "")))
    if "augment" in given:
        parts.append(str(given["augment"]))
    heading = next((key for key in ("features", "descriptor", "preset") if key in given), "")
    others = [f"{key}={value}" for key, value in given.items() if key not in (heading, "classifier", "augment")]
    return before + " ".join(["/".join(parts), *others])


# ---- names


def _check(key: str, value: Any, where: str) -> None:
    """Raises UsageError where a value names something that no registry has."""
    text = str(value)
    if key == "features":
        for block in text.split("+"):
            name, _, rest = block.partition(":")
            encoding = rest.partition(":")[0]
            if name not in DESCRIPTORS:
                both = list(dict.fromkeys([*PRESETS.names, *descriptors.named()]))
                raise UsageError(
                    f"{where}, and '{name}' is neither a preset nor a descriptor{did_you_mean(name, both)}: choose "
                    f"one of {', '.join(both)}."
                )
            if encoding and encoding not in ENCODINGS:
                raise _unknown("encoding", encoding, ENCODINGS.names, where)
    elif key in _REGISTRIES and text not in _REGISTRIES[key]:
        raise _unknown(key, text, _REGISTRIES[key].names, where)
    elif key == "augment":
        _check_levels(text, where)


def _check_levels(text: str, where: str) -> None:
    from job.vision.augment import KINDS, LEVELS

    for copy in text.split("+"):
        level, *kinds = copy.split(":")
        if level not in LEVELS:
            raise _unknown("level of augmentation", level, tuple(LEVELS), where)
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise _unknown("kind of augmentation", unknown[0], KINDS, where)


def _unknown(kind: str, text: str, names: Sequence[str], where: str) -> UsageError:
    return UsageError(
        f"{where}, and there is no {kind} '{text}'{did_you_mean(text, names)}: choose one of {', '.join(names)}."
    )
