"""`fruits tune`: compares recipes on training pictures that are described once, and names the one to use."""

import argparse
import os
import re
import time
from typing import TYPE_CHECKING, Any

from job.commands.options import console_of, duration, number
from job.errors import UsageError
from job.experiment.flags import add_settings, add_telling, settings_of
from job.parser import Parser
from job.settings import Settings

if TYPE_CHECKING:
    from job.experiment.tuning.candidates import Field
    from job.experiment.tuning.options import Options

DESCRIPTION = (
    "Compares candidates, each a recipe of features and classifier, by cross-validation on the training pictures, "
    "beside the default preset and a bare histogram of colours. Pictures are described once for all; pictures that "
    "show nearly the same are in one fold. The cheapest candidate within one standard error of the best is scored "
    "once on the test pictures, and becomes best.toml for `fruits run --config`."
)
EXAMPLES = (
    "fruits tune --data pictures",
    "fruits tune --data pictures --candidates accurate,fast,hsv:root/logistic --budget 10m",
)
# Settings of `fruits run` that a comparison has too, and what they mean here where that is something else.
_SETTINGS = {
    "data": "",
    "train": "",
    "test": "",
    "out": "",
    "run_name": "name of the run's folder (default: the UTC time); with --resume, the one to go on with",
    "categories": "",
    "train_images": "",
    "test_images": "",
    "protocol": "what is learned and scored within each fold, and on the test pictures",
    "seed": "",
    "max_bad_fraction": "",
    "min_partitions": "",
    "partitions": "",
    "event_log": "",
    "public_read": "",
    "master": "",
    "conf": "",
    "wait_for_data": "",
    "dry_run": "print the candidates, the folds and the rungs, do no work",
    "debug": "",
}


def add_arguments(parser: Parser) -> None:
    """What is compared, how, and on which pictures."""
    parser.add_argument(
        "--candidates",
        metavar="A,B",
        help="presets, or blocks of features; after slashes a classifier and levels of augmentation: "
        "accurate,hsv:root/logistic,soft-hsv+lbp/lda/strong (default: a dozen)",
    )
    parser.add_argument(
        "--grid",
        metavar="FILE",
        help="a TOML file: settings of `fruits run`, each with a value or a list of values, whose combinations are "
        "compared; [[candidate]] tables too",
    )
    parser.add_argument(
        "--trials",
        type=number(1),
        metavar="N",
        help="of a --grid that is too large, seek N combinations by Optuna: pip install 'fruits-job[tune]'",
    )
    parser.add_argument("--folds", type=number(2), default=5, metavar="N", help="folds of cross-validation (5)")
    parser.add_argument(
        "--group-by",
        metavar="REGEX",
        help="pictures in whose names this finds the same (its first group, or all of it) stay together; default: arcs "
        "of a turn where names are those of Fruits-360, else near-duplicates",
    )
    parser.add_argument("--budget", type=duration, metavar="10m", help="begin nothing new after this time")
    parser.add_argument("--resume", action="store_true", help="go on with the run of this --run-name that was stopped")
    add_settings(parser, _SETTINGS, config=False, usual=("data", "protocol", "out", "run_name", "dry_run", "debug"))
    add_telling(parser)


def main(arguments: argparse.Namespace) -> int:
    """Makes the comparison; 0 when it is whole. Raises UserError with one sentence when it is not."""
    begun = getattr(arguments, "begun", time.perf_counter())
    settings, field = checked(arguments)
    if settings.dry_run:
        return _dry_run(settings, field, arguments)
    if settings.wait_for_data:
        from job.commands.run import wait_for_data

        wait_for_data(settings)
    from job.engine.command_session import command_session
    from job.engine.configuration import Configuration

    configuration = Configuration.of(settings, for_command=True)
    with command_session(configuration, debug=settings.debug) as opened:
        from job.experiment import run
        from job.experiment.tuning import search

        told = console_of(arguments)
        search.execute(settings, _options(field, arguments), run.data_of(settings), opened, told, begun)
    return 0


def checked(arguments: argparse.Namespace) -> tuple[Settings, "Field"]:
    """The settings and the candidates. Raises UsageError for what can't be meant: nothing is done then."""
    from job.experiment.tuning import candidates

    settings = _settings(arguments)
    field = _field(arguments, settings)
    if arguments.resume and settings.run_name is None:
        raise UsageError("--resume is given without --run-name: name the run to go on with.")
    _check_pattern(arguments.group_by)
    if arguments.trials is not None:
        from job.experiment.tuning import sampling

        candidates.space(arguments.grid)
        sampling.check()
    return settings, field


def check_submitted(arguments: argparse.Namespace) -> None:
    """Raises UsageError for arguments that a job on a cluster would refuse, or can't have."""
    if arguments.grid is not None:
        raise UsageError("--grid names a file of this machine, which a job can't read: name the --candidates.")
    if arguments.data is None and arguments.train is None:
        raise UsageError("--data is missing: a job compares recipes on pictures in a store, s3://bucket/prefix.")
    checked(arguments)


def _settings(arguments: argparse.Namespace) -> Settings:
    """The settings that a comparison shares with a run, from flags and the environment."""
    return settings_of(arguments, _SETTINGS, os.environ)


def _field(arguments: argparse.Namespace, settings: Settings) -> "Field":
    from job.experiment.tuning import candidates

    if arguments.candidates is not None and arguments.grid is not None:
        raise UsageError("--candidates is given together with --grid: give one of them.")
    if arguments.trials is not None:
        if arguments.grid is None:
            raise UsageError("--trials is given without --grid: the grid says which settings may have which values.")
        named = []
    elif arguments.grid is not None:
        named = candidates.grid(arguments.grid, settings)
    else:
        given = arguments.candidates
        named = candidates.named(",".join(candidates.DEFAULTS) if given is None else given, settings)
    return candidates.field_of(named, settings)


def _options(field: "Field", arguments: argparse.Namespace) -> "Options":
    from job.experiment.tuning import candidates
    from job.experiment.tuning.options import Options

    space = {} if arguments.trials is None else candidates.space(arguments.grid)
    return Options(
        field,
        arguments.folds,
        arguments.group_by,
        arguments.budget,
        arguments.resume,
        arguments.trials or 0,
        space,
    )


def _check_pattern(pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"--group-by is '{pattern}', which is no regular expression: {error}.") from None


def _dry_run(settings: Settings, field: "Field", arguments: argparse.Namespace) -> int:
    from job.experiment import run
    from job.experiment.tuning import plan
    from job.experiment.tuning.results import NOT_OURS, described
    from job.learn import groups

    console = console_of(arguments)
    shown: dict[str, Any] = {key: value for key, value in settings.public().items() if key not in NOT_OURS}
    console.start(settings.run_name or "(the UTC time)", {**shown, **_options(field, arguments).public()}, "tune")
    data = run.data_of(settings)
    train = run.chosen(settings, next(run.listings(settings, data)))
    for one in field.candidates:
        facts = described(one) if one.recipe is not None else {"impossible": one.problem}
        console.step("candidate", one.name, facts)
    names, cats = train.table["ima"].to_pylist(), train.table["cat"].to_pylist()
    by_name = arguments.group_by is not None or groups.turns(names, cats, arguments.folds) is not None
    if by_name:
        own, by = plan.grouped(names, cats, arguments.folds, arguments.group_by, None)
        folds = groups.assigned(own, cats, arguments.folds, settings.seed)
        for fold in range(arguments.folds):
            held = folds == fold
            facts = {"grouped_by": by, "pictures": int(held.sum()), "groups": len(set(own[held].tolist()))}
            console.step("fold", str(fold + 1), facts)
    else:
        console.step("fold", "all", {"folds": arguments.folds, "grouped_by": "duplicates, which features will show"})
    able = sum(one.recipe is not None for one in field.candidates)
    for rung, count in enumerate(plan.sizes(len(names), len(set(cats)), able), start=1):
        console.step("rung", str(rung), {"pictures": count})
    return 0
