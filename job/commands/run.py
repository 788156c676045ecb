"""`fruits run`: the whole pipeline, on a generated sample or on your pictures."""

import argparse
import time

from job.commands.options import console_of
from job.experiment.choices import choices
from job.experiment.flags import add_settings, add_telling
from job.settings import Settings, resolve

DESCRIPTION = (
    "Lists, describes, learns a vocabulary, counts words, reduces, classifies, evaluates and reports. Each setting can "
    "also be given as FRUITS_... in the environment (FRUITS_WORDS=50) or in a TOML file (words = 50)."
)
EXAMPLES = (
    "fruits run --data pictures --words 200",
    "fruits run --data mine --test-fraction 0.2 --run-name monday",
    "fruits run --data s3://bucket/pictures --out s3://bucket/out --preset fast",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All settings as flags."""
    add_settings(parser)
    add_telling(parser)


def main(arguments: argparse.Namespace) -> int:
    """Makes the run; 0 when it is whole. Raises UserError with one sentence when it is not."""
    begun = getattr(arguments, "begun", time.perf_counter())
    settings = resolve(vars(arguments), choices=choices())
    if settings.dry_run:
        return _dry_run(settings, arguments)
    if settings.wait_for_data:
        wait_for_data(settings)
    # Spark starts while this process imports what it needs and lists the pictures
    from job.engine.command_session import command_session
    from job.engine.configuration import Configuration

    configuration = Configuration.of(settings, for_command=True)
    with command_session(configuration, debug=settings.debug) as opened:
        from job.experiment import run

        run.execute(settings, run.data_of(settings), opened, console_of(arguments), begun)
    return 0


def _dry_run(settings: Settings, arguments: argparse.Namespace) -> int:
    from job.engine.sizes import planned_cores
    from job.experiment import run
    from job.experiment.recipe import Recipe

    console = console_of(arguments)
    console.start(settings.run_name or "(the UTC time)", settings.public())
    for row in run.plan(settings, run.data_of(settings), planned_cores(settings), console):
        console.step("plan", row.pop("split"), row)
    console.step("plan", "all", {"stages": " > ".join(Recipe.of(settings).stages()), "out": settings.out})
    return 0


def wait_for_data(settings: Settings) -> None:
    """Until the object that `fruits upload` writes last is there."""
    from job.storage.upload import wait_until_uploaded

    assert settings.data is not None  # `resolve` has refused to wait for none
    wait_until_uploaded(settings.data, settings.wait_for_data)
