"""The winner as settings of `fruits run`: a TOML file, and the command that repeats it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from job import __version__
from job.experiment.tuning.candidates import Candidate
from job.given import flag_name
from job.settings import Settings
from job.storage.uris import is_remote

# Settings of the data, which the command has and the file has not: the same recipe may be for other pictures.
_DATA = ("data", "train", "test", "categories", "train_images", "test_images", "protocol")


def values(one: Candidate) -> dict[str, Any]:
    """All settings that make the recipe, also those that its preset has today."""
    settings = one.settings
    assert settings is not None
    found: dict[str, Any] = {"preset": settings.preset}
    if settings.features is not None:
        found["features"] = settings.features
    elif settings.descriptor is not None:
        found["descriptor"] = settings.descriptor
    found["words"] = settings.words
    if settings.components:
        found["components"] = settings.components
    found["vocabulary_sample"] = settings.vocabulary_sample
    found["classifier"] = settings.classifier
    found["augment"] = settings.augment or "off"
    if found["augment"] != "off":
        found["augment_images"] = settings.augment_images
    if settings.keep_background:
        found["keep_background"] = True
    return found | {"seed": settings.seed}


def toml(one: Candidate, command: str) -> str:
    """The file."""
    lines = [
        f"# The winner of `fruits tune` {__version__}: {json.dumps(one.name)[1:-1]}. On the same pictures:",
        f"#   {json.dumps(command, ensure_ascii=False)[1:-1]}",
    ]
    # a text of JSON is one of TOML, and so are its numbers and truths
    lines += [f"{name} = {json.dumps(value)}" for name, value in values(one).items()]
    return "\n".join(lines) + "\n"


def command(path: str, settings: Settings, data: str | None) -> str:
    """The command that makes a run of the winner on the same pictures.

    `path` is the file's address. Settings are read from files of this machine: one in a store is named as its copy.
    """
    given: Mapping[str, Any] = {spec.name: getattr(settings, spec.name) for spec in fields(Settings)}
    given = {**given, "data": data if data is not None else settings.data}
    parts = ["fruits", "run", "--config", path.rpartition("/")[2] if is_remote(path) else path]
    for name in _DATA:
        value = given[name]
        if value is None or value == () or (name == "protocol" and value == "standard"):
            continue
        parts += [flag_name(name), ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(parts)
