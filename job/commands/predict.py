"""`fruits predict`: what a saved model says of new pictures: a few at once, or many on Spark."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from job.commands.options import add_model, console_of, duration, number, rejection_of
from job.errors import UsageError, tell
from job.experiment.flags import add_settings, add_telling, settings_of
from job.given import ENVIRONMENT_PREFIX, flag_name
from job.parser import Parser
from job.settings import Settings

if TYPE_CHECKING:
    from job.model.predict import Model, Prediction

DESCRIPTION = (
    "Says what the named pictures show, at once, without Spark and Java. One line a picture: its path, the category, "
    "its probability; 'unknown' where no category is probable or near enough, and '-' with the reason where a picture "
    "can't be used. With --data it predicts all pictures below an address, on Spark, and leaves a folder; with --watch "
    "as well, it goes on with pictures as they arrive there, without Spark. The exit code is 1 when not one of the "
    "pictures could be used."
)
EXAMPLES = (
    "fruits predict apple.jpg more/",
    "fruits predict --model s3://bucket/out/monday --data s3://bucket/new --out s3://bucket/out",
    "fruits predict --data incoming --run-name live --watch",
)
# Settings of `fruits run` that a batch has too, and what they mean here where that is something else.
_BOTH = {"out": "where the runs are, and where --data writes the folder of its own (default: out)", "debug": ""}
_BATCH = {
    "data": "predict all pictures below this folder or s3:// address, on Spark, into a folder in --out",
    "run_name": "name of that folder (default: the UTC time); with the name of one that is not whole, go on with it",
    "min_partitions": "",
    "partitions": "",
    "event_log": "",
    "public_read": "",
    "master": "",
    "conf": "",
}
# Settings of a batch that a watch has no use for, and why.
_NOT_WATCHED = {
    **dict.fromkeys(("min_partitions", "partitions", "event_log", "master", "conf"), "which works without Spark"),
    "public_read": "whose batches only their owner may read",
}
_OF_WATCH = ("once", "every", "metrics_port", "metrics_host")
_EVERY, _METRICS_HOST = 2.0, "127.0.0.1"
# Seconds within which a line is to appear, as far as the pictures allow, and most pictures that are described at once.
_SOON, _MOST = 0.25, 256


def add_arguments(parser: Parser) -> None:
    """What is predicted, by what, and how it is told."""
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="pictures, or folders of them, here or s3:// addresses"
    )
    add_model(parser)
    add_settings(parser, _BOTH, config=False)
    add_telling(parser)
    named = parser.add_argument_group("pictures that are named")
    named.add_argument("--top-k", type=number(1), metavar="N", help="name the N most probable categories (1)")
    add_settings(
        parser.add_argument_group("all pictures below an address"), _BATCH, config=False, usual=("data", "run_name")
    )
    watched = parser.add_argument_group("pictures as they arrive below an address")
    watched.add_argument(
        "--watch",
        action="store_true",
        help="predict what arrives below --data, without Spark, until told to end; goes on where --run-name was left",
    )
    watched.add_argument("--once", action="store_true", default=None, help="end when what is there is predicted")
    watched.add_argument("--every", type=duration, metavar="5s", help="time from one listing to the next (2s)")
    watched.add_argument("--metrics-port", type=number(0), metavar="N", help="answer Prometheus on this port")
    watched.add_argument("--metrics-host", metavar="HOST", help=f"and on this address ({_METRICS_HOST})")
    parser.hide("--metrics-port", "--metrics-host")


def main(arguments: argparse.Namespace) -> int:
    """Answers, or leaves a folder of answers. 1 when none of the pictures could be used."""
    begun = getattr(arguments, "begun", time.perf_counter())
    _check(arguments)
    settings = _settings(arguments, os.environ)
    if arguments.watch:
        return _watch(settings, arguments)
    if arguments.data is not None:
        return _batch(settings, arguments, begun)
    model = _model(settings, arguments)
    count = unusable = 0
    for shown, found in _answers(model, arguments):
        sys.stdout.write(_as_json(shown, found) if arguments.json else _as_text(shown, found, arguments.top_k or 1))
        count += 1
        unusable += not found.described
    if unusable:
        sys.stdout.flush()
        tell("The picture could not be used." if count == 1 else f"{unusable} of {count} pictures could not be used.")
    return 1 if unusable == count else 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises UsageError when options are missing or don't go together."""
    given = [flag_name(name) for name in _BATCH if getattr(arguments, name) is not None]
    if arguments.pictures and given:
        raise UsageError(f"{given[0]} is given together with pictures: it goes with --data, and pictures without it.")
    if not arguments.pictures and arguments.data is None:
        raise UsageError("There is nothing to predict: name pictures, or folders of them, or give --data.")
    if arguments.data is not None and arguments.top_k:
        raise UsageError("--top-k is given together with --data: what --data finds is a table with two guesses each.")
    _check_watch(arguments)


def _check_watch(arguments: argparse.Namespace) -> None:
    """Raises UsageError when options of a watch are missing or don't go together."""
    given = [flag_name(name) for name in _OF_WATCH if getattr(arguments, name) is not None]
    if not arguments.watch:
        if given:
            raise UsageError(f"{given[0]} is given without --watch, which it belongs to.")
        return
    if arguments.data is None:
        raise UsageError("--watch is given without --data: name the folder or s3:// address that pictures arrive in.")
    for name, why in _NOT_WATCHED.items():
        if getattr(arguments, name) is not None:
            raise UsageError(f"{flag_name(name)} is given together with --watch, {why}: leave one of them out.")
    if arguments.metrics_host is not None and arguments.metrics_port is None:
        raise UsageError("--metrics-host is given without --metrics-port: say on which port Prometheus may ask.")


def check_submitted(arguments: argparse.Namespace) -> None:
    """Raises UsageError for arguments that a job on a cluster would refuse, or can't have."""
    if arguments.watch:
        raise UsageError("--watch can't be submitted, as it works without Spark: predict.enabled of the chart runs it.")
    if arguments.pictures or arguments.data is None:
        raise UsageError("A job predicts all pictures below an address: give --data, and name no pictures.")
    _check(arguments)
    _settings(arguments, {})


def _settings(arguments: argparse.Namespace, variables: Mapping[str, str]) -> Settings:
    """The settings that a batch shares with a run, from flags and the environment's variables."""
    # that pictures are named or --data is given says what is to be done: the environment does not
    own = {name: value for name, value in variables.items() if name != f"{ENVIRONMENT_PREFIX}DATA"}
    return settings_of(arguments, {*_BOTH, *_BATCH}, own)


def _model(settings: Settings, arguments: argparse.Namespace) -> "Model":
    from job.model import addresses

    return addresses.loaded(arguments.model, settings.out)


# ---- pictures that are named


def _answers(model: "Model", arguments: argparse.Namespace) -> "Iterator[tuple[str, Prediction]]":
    """Each picture and what the model says of it, in the order of the arguments.

    As many pictures are described at once as take a moment, so that answers come early.
    """
    from job.model import addresses

    named = addresses.contents(addresses.pictures(arguments.pictures), model.max_bytes)
    together, rejection = 1, rejection_of(arguments).asked()
    while part := list(islice(named, together)):
        begun = time.perf_counter()
        contents: list[Any] = [content for _, content in part]
        found = model.predict(contents, arguments.top_k or 1, **rejection)
        yield from zip((shown for shown, _ in part), found, strict=True)
        sys.stdout.flush()
        together = min(2 * together, _MOST) if time.perf_counter() - begun < _SOON else max(1, together // 2)


def _as_text(shown: str, found: "Prediction", top_k: int) -> str:
    """A line of fields that tabs separate: path, category, probability, then the next guesses or the reason."""
    from job.report.text import clean

    encoding = sys.stdout.encoding or "utf-8"
    if not found.described:
        fields = [shown, "-", "-", f"{found.status}: {found.reason}"]
    else:
        next_ones = (part for name, chance in found.top[1:top_k] for part in (name, f"{chance:.4f}"))
        fields = [shown, found.category or found.status, f"{found.probability:.4f}", *next_ones]
    return "\t".join(clean(field, encoding) for field in fields) + "\n"


def _as_json(shown: str, found: "Prediction") -> str:
    return json.dumps({"picture": shown, **found.public()}) + "\n"


# ---- all pictures below an address


def _batch(settings: Settings, arguments: argparse.Namespace, begun: float) -> int:
    # Spark starts while this process imports what it needs, loads the model and lists the pictures
    from job.engine.command_session import command_session
    from job.engine.configuration import Configuration

    # Spark itself reads and writes no pictures: only its event log may need the jars for S3
    configuration = Configuration.make(
        master=settings.master,
        name=settings.run_name,
        event_log=settings.event_log,
        conf=settings.spark_conf(),
        for_command=True,
    )
    with command_session(configuration, debug=settings.debug) as opened:
        model = _model(settings, arguments)
        from job.experiment import batch

        done = batch.execute(settings, model, rejection_of(arguments), opened, console_of(arguments), begun)
    if done.described:
        return 0
    tell("Not one of the pictures could be used: see rejected.csv.")
    return 1


# ---- pictures as they arrive


def _watch(settings: Settings, arguments: argparse.Namespace) -> int:
    if settings.run_name is None:
        raise UsageError("--watch is given without --run-name: name the folder that takes the batches.")
    from job.experiment.watch.watcher import Watch, execute

    assert settings.data is not None
    watch = Watch(
        settings.data,
        settings.out,
        settings.run_name,
        arguments.every or _EVERY,
        bool(arguments.once),
        rejection_of(arguments),
    )
    model = _model(settings, arguments)
    meters = None
    if arguments.metrics_port is not None:
        from job.experiment.watch.meters import Meters

        meters = Meters()
        meters.serve(arguments.metrics_host or _METRICS_HOST, arguments.metrics_port)
    execute(watch, model, console_of(arguments, terminal=False), meters)
    return 0
