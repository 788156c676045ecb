"""Where settings are given: as flags, as variables of the environment, in a file; and which of them counts."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.errors import UsageError
from job.near_miss import did_you_mean

ENVIRONMENT_PREFIX = "FRUITS_"
# How much a command tells, and in which form: given in the same places, but no setting of a run, whose results it does
# not change.
TELLING = ("quiet", "verbose", "json")
# Settings that a place hides in weaker places, beside those of the same name: they say the same in another way.
HIDES: Mapping[str, tuple[str, ...]] = {
    "features": ("descriptor",),
    "descriptor": ("features",),
    "data": ("train", "test"),
    "train": ("data", "test_fraction", "labels"),
    "test": ("data", "test_fraction", "labels"),
    "quiet": ("verbose",),
    "verbose": ("quiet",),
}


@dataclass(frozen=True)
class Given:
    """A value as it was given.

    `place` is "flag", "environment", "file", "preset" or "default". `source` names it in a sentence: `--words`,
    `FRUITS_WORDS` or `'words' in run.toml`. `value` is text, or from a file whatever TOML has.
    """

    place: str
    source: str
    value: Any

    def __str__(self) -> str:
        """Source and value: `--words 20`, `FRUITS_WORDS=20`, `'words' in run.toml (20)`, `--no-classify`."""
        if self.place == "environment":
            return f"{self.source}={self.value}"
        if isinstance(self.value, bool) or str(self.value).lower() == "true":
            return self.source
        return f"{self.source} ({self.value})" if self.place == "file" else f"{self.source} {self.value}"

    def part(self, key: str) -> str:
        """How a sentence names one of the keys that it holds, as `--conf` does."""
        return f"{self.source}, {key}," if self.place == "file" else f"{self.source} {key}"


def flag_name(name: str) -> str:
    """The flag of a setting: `--train-images` for `train_images`."""
    return "--" + name.replace("_", "-")


def variable_name(name: str) -> str:
    """The variable of the environment: `FRUITS_TRAIN_IMAGES` for `train_images`."""
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


def truth(text: str) -> bool:
    """Whether a text such as `on` or `no` is true. ValueError where it is neither."""
    values = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
        "": False,
    }
    try:
        return values[text.strip().lower()]
    except KeyError:
        raise ValueError("true or false") from None


def layered(layers: Sequence[Mapping[str, Given]]) -> dict[str, Given]:
    """The values of all places, the strongest first: each hides the same setting of weaker ones, and what `HIDES`
    says."""
    found: dict[str, Given] = {}
    for layer in reversed(layers):
        for name in layer:
            for hidden in HIDES.get(name, ()):
                found.pop(hidden, None)
        found.update(layer)
    return found


def values_given(
    names: Collection[str], flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, Given]:
    """What is said of these settings by flags, else by the environment, else by the file that `config` names there.

    Flags are text or None each; without an `environment` it is that of this process. Raises UsageError where the file
    can't be read.
    """
    environment = os.environ if environment is None else environment
    # an empty variable is one that was not set, as compose files and charts leave them
    variables = {name: environment.get(variable_name(name), "") for name in names}
    return layered(
        [
            {name: Given("flag", flag_name(name), flags[name]) for name in names if flags.get(name) is not None},
            {name: Given("environment", variable_name(name), text) for name, text in variables.items() if text.strip()},
            {name: given for name, given in _from_file(_config(flags, environment)).items() if name in names},
        ]
    )


def check_file(known: Collection[str], flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
    """Raises UsageError where the file that `config` names has a key that is not known, or says no truth of how much is
    told."""
    config = _config(flags, os.environ if environment is None else environment)
    for name, given in _from_file(config).items():
        if name in TELLING:
            _truth(given)
        elif name not in known:
            raise UsageError(
                f"The settings file '{config}' has an unknown key '{name}'{did_you_mean(name, (*known, *TELLING))}: "
                "see `fruits run --help` for the settings."
            )


def truths(
    names: Collection[str], flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, bool]:
    """The same of what is true or false, such as `TELLING`; false where nothing is said. Raises UsageError for anything
    else too."""
    given = values_given(names, flags, environment)
    return {name: _truth(given[name]) if name in given else False for name in names}


def _config(flags: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """Path of the settings file, where one is named."""
    return flags.get("config") or environment.get(variable_name("config"))


def _from_file(path: str | None) -> dict[str, Given]:
    """All that a file says; nothing where there is none."""
    if not path:
        return {}
    import tomllib

    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The settings file '{path}' can't be read ({error.strerror}): check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The settings file '{path}' is no valid TOML: {error}.") from None
    named = {key.replace("-", "_"): value for key, value in content.items()}
    return {name: Given("file", f"'{name}' in {path}", value) for name, value in named.items()}


def _truth(given: Given) -> bool:
    """Whether what was given is true. Raises UsageError where it is neither true nor false."""
    try:
        return truth(str(given.value))
    except ValueError as error:
        raise UsageError(f"{given.source} is '{given.value}': it must be {error}.") from None
