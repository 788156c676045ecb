"""The command `fruits`: parse, call, print. It computes nothing itself."""

import time

# The clock starts before the imports, which are part of a run.
_BEGUN = time.perf_counter()

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from typing import NoReturn

from job import __version__
from job.errors import UsageError, UserError
from job.experiment.choices import choices
from job.presets import PRESETS
from job.settings import Settings, flag_name, resolve

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> "None":  # type: ignore[override]
        raise UsageError(f"{message[:1].upper()}{message[1:]}: see `{self.prog} --help`.")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = _Parser(prog="fruits", description="Image classification by visual words, on Spark, on Kubernetes.")
    top.add_argument("--version", action="version", version=f"fruits {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="the whole pipeline, on a generated sample or on your pictures",
        description="Lists, describes, learns a vocabulary, counts words, reduces, classifies, "
        "evaluates and reports. Each setting can also be given as FRUITS_... in the environment "
        "(FRUITS_WORDS=50) or in a TOML file (words = 50).",
        allow_abbrev=False,
    )
    _add_settings(run)
    run.set_defaults(function=_run)
    sample = commands.add_parser(
        "sample",
        help="write generated pictures of fruits",
        allow_abbrev=False,
        description="Writes Training/<Category>/*.jpg and Test/<Category>/*.jpg of generated, "
        "fruit-like pictures: the same ones for the same seed.",
    )
    sample.add_argument("folder", help="where to write them")
    sample.add_argument("--categories", type=_count(1), default=3, metavar="N", help="categories (3)")
    sample.add_argument("--train-images", type=_count(1), default=150, metavar="N", help="training pictures (150)")
    sample.add_argument("--test-images", type=_count(1), default=60, metavar="N", help="test pictures (60)")
    sample.add_argument("--seed", type=_count(0), default=123, metavar="N", help="seed (123)")
    sample.add_argument("--debug", action="store_true", help="show the traceback of an error")
    sample.set_defaults(function=_sample)
    upload = commands.add_parser(
        "upload",
        help="a folder into a bucket",
        allow_abbrev=False,
        description="Puts all files of a folder into a bucket, many at a time. What is there "
        "already, with the same size and checksum, is left: an upload that was stopped goes "
        "on where it was. Last comes an empty object _SUCCESS.",
    )
    upload.add_argument("folder", help="folder of this machine")
    upload.add_argument("uri", help="s3://bucket/prefix")
    upload.add_argument("--create-bucket", action="store_true", help="make the bucket if it is not there")
    upload.add_argument("--public-read", action="store_true", help="let everybody read the objects")
    upload.add_argument("--debug", action="store_true", help="show the traceback of an error")
    upload.set_defaults(function=_upload)
    pack = commands.add_parser(
        "pack",
        help="many small pictures into Parquet",
        allow_abbrev=False,
        description="Packs a tree of pictures into Parquet files of about 128 MB, which --data "
        "takes like the tree itself.",
    )
    pack.add_argument("source", help="folder or s3:// address with the pictures")
    pack.add_argument("target", help="folder or s3:// address for the packed ones")
    pack.add_argument("--debug", action="store_true", help="show the traceback of an error")
    pack.set_defaults(function=_pack)
    submit = commands.add_parser(
        "submit",
        help="the same run on a Kubernetes cluster",
        allow_abbrev=False,
        description="Gives a SparkApplication to the Spark operator, follows it to its end "
        "with the driver's log, and returns the job's exit code.",
    )
    _add_arguments("cluster", submit)
    benchmark = commands.add_parser(
        "benchmark",
        help="the same run on 1, 2, 4 ... executors",
        allow_abbrev=False,
        description="Runs the same on different numbers of executors, several times and "
        "in mixed order, and shows seconds, speed-up, efficiency, cost and what limits "
        "each operation, beside the prototype's figures.",
    )
    _add_settings(benchmark)
    _add_arguments("benchmark", benchmark)
    plan = commands.add_parser(
        "plan",
        help="executors, time and cost for N pictures",
        allow_abbrev=False,
        description="Fits a scaling law to the measurements of `fruits benchmark`, and says "
        "what a run with N pictures takes.",
    )
    _add_arguments("benchmark.plan", plan)
    doctor = commands.add_parser(
        "doctor",
        help="what works here, and what to do about what does not",
        allow_abbrev=False,
        description="Checks Python, Java, Spark, OpenCV, the store, the "
        "cluster and the Spark operator. Changes nothing, downloads nothing.",
    )
    _add_arguments("commands.doctor", doctor)
    return top


def _add_arguments(name: str, command: argparse.ArgumentParser) -> None:
    """Options of a command that has a module of its own."""
    module = import_module(f"job.{name}")
    module.add_arguments(command)
    command.set_defaults(function=module.main)


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"'{text}' must be a whole number of {least} or more")
        return value

    return parse


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="settings from a TOML file")
    for spec in fields(Settings):
        about, name = spec.metadata, flag_name(spec.name)
        if spec.type in (bool, "bool"):
            command.add_argument(name, action="store_const", const="true", help=about["help"])
        elif about["repeat"]:
            command.add_argument(name, action="append", metavar=about["metavar"], help=about["help"])
        else:
            metavar = about["metavar"] or "{" + ",".join({"preset": PRESETS.names, **choices()}[spec.name]) + "}"
            command.add_argument(name, metavar=metavar, help=about["help"])


def _run(arguments: argparse.Namespace) -> int:
    settings = resolve(vars(arguments), choices=choices())
    if settings.dry_run:
        return _dry_run(settings)
    # the JVM boots while this process imports what it needs and lists the pictures
    if settings.wait_for_data:
        _wait_for_data(settings)
    from job.engine.configuration import Configuration, started_by_spark_submit
    from job.engine.jvm import Jvm
    from job.engine.session import session

    configuration = Configuration.of(settings, for_command=True)
    jvm = None if started_by_spark_submit() else Jvm(configuration, debug=settings.debug)
    try:
        from job.experiment import run
        from job.report.console import Console

        run.execute(settings, run.data_of(settings), session(configuration, jvm, leave=True), Console(), _BEGUN)
    finally:
        if jvm is not None:
            jvm.stop()
    return DONE


def _dry_run(settings: Settings) -> int:
    from job.engine.sizes import planned_cores
    from job.experiment import run
    from job.experiment.recipe import Recipe
    from job.report.console import Console

    console = Console()
    console.start(settings.run_name or "(the UTC time)", settings.public())
    for row in run.plan(settings, run.data_of(settings), planned_cores(settings)):
        console.step("plan", row.pop("split"), row)
    console.step("plan", "all", {"stages": " > ".join(Recipe.of(settings).stages()), "out": settings.out})
    return DONE


def _sample(arguments: argparse.Namespace) -> int:
    from job.vision import sample

    try:
        done = sample.write_sample(
            arguments.folder,
            categories=arguments.categories,
            train_images=arguments.train_images,
            test_images=arguments.test_images,
            seed=arguments.seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UserError(
            f"'{error.filename or arguments.folder}' can't be written ({error.strerror}): choose another folder."
        ) from error
    there = f"; {done.unchanged} were there already" if done.written and done.unchanged else ""
    print(
        f"{done.written} pictures written to {arguments.folder}{there}."
        if done.written
        # noqa: T201  (the command's answer)
        else f"All {done.unchanged} pictures are in {arguments.folder} already."
    )
    return DONE


def _upload(arguments: argparse.Namespace) -> int:
    from job.report.console import Console
    from job.storage.upload import create_bucket, upload

    console = Console()
    if arguments.public_read:
        console.warning("Everybody will be able to read what is uploaded (--public-read).")
    if arguments.create_bucket:
        create_bucket(arguments.uri)
    with console.progress("upload", None) as bar:
        counts = upload(
            arguments.folder,
            arguments.uri,
            public_read=arguments.public_read,
            progress=lambda now: bar.update(now.uploaded + now.skipped, now.files),
        )
    print(
        f"{counts.files} files in {arguments.uri}: {counts.uploaded} uploaded ({counts.bytes:,} bytes), "  # noqa: T201
        f"{counts.skipped} there already."
    )
    return DONE


def _pack(arguments: argparse.Namespace) -> int:
    from job.report.console import Console
    from job.storage.pack import pack

    with Console().progress("pack", None) as bar:
        done = pack(arguments.source, arguments.target, progress=bar.update)
    unusable = sum(done.faults.values())
    print(
        f"{done.images} pictures, {done.bytes:,} bytes, in {done.files} Parquet files in {arguments.target}"  # noqa: T201
        f"{f'; {unusable} without content, which a run will list as rejected' if unusable else ''}."
    )
    return DONE


def _wait_for_data(settings: Settings) -> None:
    """Until the object that `fruits upload` writes last is there."""
    from job.storage.upload import wait_until_uploaded

    if not settings.data:
        raise UsageError("--wait-for-data is given without --data: there is nothing to wait for.")
    wait_until_uploaded(settings.data, settings.wait_for_data)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0 done, 1 the work failed, 2 wrong usage or settings."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cause: Exception | None = None
    debug = "--debug" in arguments or os.environ.get("FRUITS_DEBUG", "").lower() in ("1", "true", "yes", "on")
    try:
        parsed, unknown = parser().parse_known_args(arguments)
        if unknown:
            raise UsageError(f"Unknown option '{unknown[0]}': see `fruits {parsed.command} --help`.")  # noqa: TRY301
        return int(parsed.function(parsed))
    except UserError as error:
        code, sentence, cause = error.exit_code, error.message, error
    except KeyboardInterrupt:
        code, sentence = INTERRUPTED, "Interrupted: nothing was left half-written."
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  (whatever it is, a user gets one sentence)
        code, sentence, cause = FAILED, _sentence(error), error
    if debug and cause:
        traceback.print_exception(cause)
    print(f"fruits: {sentence}", file=sys.stderr)  # noqa: T201  (the command's answer)
    return code


def command() -> NoReturn:
    """The whole process: `main`, and gone. Taking down what was imported would take 0.3 s, to no end."""
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _sentence(error: Exception) -> str:
    """One sentence for an error from below: the one that a worker raised for the user, or the last line."""
    import re

    text = str(error)
    raised = re.findall(r"^job\.errors\.(?:UserError|UsageError): (.+)$", text, re.MULTILINE)
    if raised:
        return str(raised[-1])
    lines = [re.sub(r"^(?:: |Caused by: )", "", line.strip()) for line in text.splitlines() if line.strip()]
    said = next(
        (line for line in reversed(lines) if re.match(r"^[\w.$]+(?:Error|Exception): \S", line)),
        lines[0] if lines else type(error).__name__,
    )
    return f"The work failed: {said[:300].rstrip('.')} (--debug shows where)."


if __name__ == "__main__":
    command()
