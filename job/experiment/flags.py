"""The settings of a run as flags of a command line."""

import argparse
from collections.abc import Collection, Mapping
from dataclasses import fields

from job.experiment.choices import choices
from job.given import flag_name, truths, variable_name
from job.parser import Parser, describe
from job.presets import PRESETS
from job.settings import Settings, resolve

# How much a command tells, and in which form: it changes no result, and is no setting of a run.
TELLING: Mapping[str, tuple[tuple[str, ...], str]] = {
    "quiet": (("-q", "--quiet"), "tell warnings and the end alone"),
    "verbose": (("-v", "--verbose"), "tell more in a log: first rows, categories, timings"),
    "json": (("--json",), "one JSON object a line"),
}


# Titles of the groups of settings in the help, and the settings in each.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "pictures": (
        "data",
        "train",
        "test",
        "test_fraction",
        "labels",
        "categories",
        "train_images",
        "test_images",
        "max_bad_fraction",
        "wait_for_data",
    ),
    "what is learned": (
        "preset",
        "features",
        "descriptor",
        "words",
        "components",
        "vocabulary_sample",
        "augment",
        "keep_background",
        "classifier",
        "no_classify",
        "seed",
    ),
    "how it is judged": ("protocol", "learning_curve"),
    "results": ("out", "run_name", "cache", "export_intermediate", "public_read"),
    "Spark": ("master", "conf", "event_log", "min_partitions", "partitions"),
}
# Few words about the usual settings; the help of a command has no others unless all are asked for.
BRIEF: Mapping[str, str] = {
    "data": "folder or s3:// address with Training/ and Test/",
    "train": "training pictures, with --test in place of --data",
    "test": "test pictures",
    "test_fraction": "part to test with, where --data is one folder",
    "categories": "only these categories",
    "train_images": "so many training pictures, of all categories alike",
    "test_images": "so many test pictures, of all categories alike",
    "preset": "settings to start from: {names}",
    "features": "blocks side by side, such as rootsift:vlad:64+hsv",
    "words": "size of the visual vocabulary",
    "augment": "changed copies: off, mild, strong or mild+strong",
    "classifier": "{names}",
    "protocol": "{names}",
    "out": "where the run's folder is written (out)",
    "run_name": "name of the run's folder (the UTC time)",
    "cache": "keep descriptors here, for later runs",
    "master": "Spark master (local[*])",
    "conf": "a Spark setting; may be repeated",
    "dry_run": "print the settings and the plan, do no work",
    "debug": "show the traceback of an error",
}


def add_settings(
    parser: argparse._ActionsContainer,
    names: Mapping[str, str] | None = None,
    *,
    config: bool = True,
    usual: Collection[str] = tuple(BRIEF),
) -> None:
    """Adds a flag for each setting, and `--config`. Values stay texts: `job.settings.resolve` reads them.

    With `names`, only these settings; those with a text have it as their help, in place of their own. A parser gets
    them in groups. Those that are not `usual` are in the long help only.
    """
    if config:
        added = parser.add_argument("--config", metavar="FILE", help="settings from a TOML file")
        describe(added, variable=variable_name("config"))
    allowed = choices()
    known = {name: f" ({', '.join(listed)})" for name, listed in allowed.items()}
    known["preset"] = ": " + "; ".join(f"{name} is {PRESETS.get(name).help}" for name in PRESETS)
    titles = {name: title for title, listed in GROUPS.items() for name in listed}
    order = [name for listed in GROUPS.values() for name in listed]
    for spec in sorted(fields(Settings), key=lambda spec: order.index(spec.name) if spec.name in order else len(order)):
        if names is not None and spec.name not in names:
            continue
        own = (names or {}).get(spec.name)
        about, name = {**spec.metadata, **({"help": own} if own else {})}, flag_name(spec.name)
        place = parser
        if isinstance(parser, Parser) and spec.name in titles:
            place = parser.group(titles[spec.name])
        if spec.type in (bool, "bool"):
            added = place.add_argument(name, action="store_const", const="true", help=about["help"])
        elif about["repeat"]:
            added = place.add_argument(name, action="append", metavar=about["metavar"], help=about["help"])
        else:
            told = about["help"] + known.get(spec.name, "")
            added = place.add_argument(name, metavar=about["metavar"] or "NAME", help=told)
        values = PRESETS.names if spec.name == "preset" else allowed.get(spec.name, ())
        describe(
            added,
            brief=own or BRIEF.get(spec.name, "").format(names=", ".join(values)),
            variable=variable_name(spec.name),
            unusual=spec.name not in usual,
            values=values,
        )


def settings_of(arguments: argparse.Namespace, names: Collection[str], variables: Mapping[str, str]) -> Settings:
    """The settings with these names, from a command's arguments and from the environment's variables.

    Variables of settings that the command does not have are not looked at. Raises UsageError as `job.settings.resolve`.
    """
    known = {variable_name(name) for name in names}
    environment = {name: value for name, value in variables.items() if name in known}
    return resolve({name: getattr(arguments, name) for name in names}, environment, choices=choices())


def add_telling(
    parser: argparse._ActionsContainer,
    names: Collection[str] = tuple(TELLING),
    about: Mapping[str, str] | None = None,
) -> None:
    """Adds `-q`, `-v` and `--json`, or some of them, with the help in `about` where they do something else."""
    either = parser.add_mutually_exclusive_group()
    for name in names:
        options, usual = TELLING[name]
        place = parser if name == "json" else either
        added = place.add_argument(*options, action="store_const", const=True, help=(about or {}).get(name, usual))
        describe(added, variable=variable_name(name))


def telling_of(arguments: argparse.Namespace, variables: Mapping[str, str]) -> dict[str, bool]:
    """Whether a command is to be quiet, verbose, and to speak JSON: by its options, else by FRUITS_QUIET and so on,
    else by the file of a command that has `--config`.

    `-v` beats FRUITS_QUIET. Raises UsageError for a variable or a key that says something else.
    """
    places = [*TELLING, *(["config"] if hasattr(arguments, "config") else [])]
    known = {variable_name(name) for name in places}
    environment = {name: value for name, value in variables.items() if name in known}
    return truths(TELLING, {name: getattr(arguments, name, None) for name in places}, environment)


def run_parser() -> Parser:
    """A parser of the flags of `fruits run` alone, without the command's name."""
    parser = Parser(prog="fruits run", allow_abbrev=False)
    add_settings(parser)
    add_telling(parser)
    return parser
