"""The settings of a run as flags of a command line."""

import argparse
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from job.errors import UsageError
from job.experiment.choices import choices
from job.presets import PRESETS
from job.settings import ENVIRONMENT_PREFIX, Settings, flag_name, resolve


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors: one sentence, and no exit."""

    def error(self, message: str) -> Any:
        """Raise UsageError with the sentence."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}: see `{self.prog} --help`.")


def add_settings(
    parser: argparse._ActionsContainer, names: Mapping[str, str] | None = None, *, config: bool = True
) -> None:
    """Adds a flag for each setting, and `--config`. Values stay texts: `job.settings.resolve` reads them.

    With `names`, only these settings; those with a text have it as their help, in place of their own.
    """
    if config:
        parser.add_argument("--config", metavar="FILE", help="settings from a TOML file")
    known = {name: f" ({', '.join(listed)})" for name, listed in choices().items()}
    known["preset"] = ": " + "; ".join(f"{name} is {PRESETS.get(name).help}" for name in PRESETS)
    for spec in fields(Settings):
        if names is not None and spec.name not in names:
            continue
        own = (names or {}).get(spec.name)
        about, name = {**spec.metadata, **({"help": own} if own else {})}, flag_name(spec.name)
        if spec.type in (bool, "bool"):
            parser.add_argument(name, action="store_const", const="true", help=about["help"])
        elif about["repeat"]:
            parser.add_argument(name, action="append", metavar=about["metavar"], help=about["help"])
        else:
            told = about["help"] + known.get(spec.name, "")
            parser.add_argument(name, metavar=about["metavar"] or "NAME", help=told)


def settings_of(arguments: argparse.Namespace, names: Collection[str], variables: Mapping[str, str]) -> Settings:
    """The settings with these names, from a command's arguments and from the environment's variables.

    Variables of settings that the command does not have are not looked at. Raises UsageError as `job.settings.resolve`.
    """
    known = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in names}
    environment = {name: value for name, value in variables.items() if name in known}
    return resolve({name: getattr(arguments, name) for name in names}, environment, choices=choices())


def run_parser() -> Parser:
    """A parser of the flags of `fruits run` alone, without the command's name."""
    parser = Parser(prog="fruits run", allow_abbrev=False)
    add_settings(parser)
    return parser
