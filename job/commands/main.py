"""The command `fruits`: it parses, calls one of the commands, and turns errors into a sentence and an exit code."""

import time

# The clock starts before the imports, which are part of a run.
_BEGUN = time.perf_counter()

import argparse
import gc
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from job import __version__
from job.errors import UsageError, UserError, tell
from job.experiment.flags import Parser
from job.near_miss import did_you_mean
from job.signals import terminated_as_interrupted

FAILED, INTERRUPTED = 1, 130
COMMANDS: Mapping[str, str] = {
    "run": "the whole pipeline, on a generated sample or on your pictures",
    "predict": "what a saved model says of new pictures",
    "serve": "a saved model behind HTTP",
    "tune": "compares recipes on your pictures, and names the one to use",
    "sample": "write generated pictures of fruits",
    "upload": "a folder into a bucket",
    "pack": "many small pictures into Parquet",
    "submit": "a run or a prediction on a Kubernetes cluster",
    "benchmark": "the same run on 1, 2, 4 ... executors",
    "plan": "executors, time and cost for N pictures",
    "runs": "the runs in a folder",
    "show": "the main figures of a run, or its report",
    "compare": "two runs beside each other",
    "doctor": "what works here, and what to do about what does not",
}
"""Name of a command -> its line in `fruits --help`.

Each is a module of this package with `DESCRIPTION` (the sentences above the options in its own help),
`add_arguments(parser)` and `main(arguments) -> exit code`. To add a command is to write that module and its line here.
A module may name in `REST` the list of arguments that what stands behind `--` is added to, wherever options stand.
"""


def parser(commands: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """A parser that knows all commands by name, and the options of `commands`: only their modules are imported."""
    top = Parser(prog="fruits", description="Image classification by visual words, on Spark, on Kubernetes.")
    top.add_argument("--version", action="version", version=f"fruits {__version__}")
    of_commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        command = of_commands.add_parser(name, help=about, allow_abbrev=False)
        if name in commands:
            module = import_module(f"job.commands.{name}")
            command.description = module.DESCRIPTION
            command.set_defaults(function=module.main)
            module.add_arguments(command)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command, SIGTERM being answered as Ctrl-C is.

    Returns
    -------
    The exit code: 0 done; 1 the work failed; 2 wrong usage or settings; 130 interrupted.

    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    cause: Exception | None = None
    try:
        with terminated_as_interrupted():
            parsed = _parsed(arguments)
            return int(parsed.function(parsed))
    except UserError as error:
        code, sentence, cause = error.exit_code, error.message, error
    except KeyboardInterrupt:
        code, sentence = INTERRUPTED, "Interrupted: nothing was left half-written."
    except BrokenPipeError:
        _give_up_output()
        return FAILED
    except Exception as error:  # noqa: BLE001  (whatever it is, a user gets one sentence)
        code, sentence, cause = FAILED, _sentence(error), error
    if cause and _debug(arguments):
        traceback.print_exception(cause)
    tell(sentence)
    return code


def command() -> NoReturn:
    """Runs `main` on this process' arguments and ends the process with its exit code.

    The garbage collector is told to leave alone everything that is there, so that Python does not search all that was
    imported for cycles before it ends (`exit` in tests/benchmarks/engine.py measures it).
    """
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM):  # it is over: its exit code says how it went
        signal.signal(number, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_output()
    gc.freeze()
    sys.exit(code)


def _give_up_output() -> None:
    """Sends what is still to be written nowhere: its reader has gone away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command that they name. Raises UsageError for an option that it does not have."""
    named = next((text for text in arguments if not text.startswith("-")), "")
    if named and named not in COMMANDS:
        raise UsageError(
            f"There is no command '{named}'{did_you_mean(named, COMMANDS)}: choose one of {', '.join(COMMANDS)}, or "
            "see `fruits --help`."
        )
    top = parser((named,))
    rest = getattr(import_module(f"job.commands.{named}"), "REST", None) if named else None
    end = list(arguments).index("--") if rest and "--" in arguments else len(arguments)
    parsed, unknown = top.parse_known_args(arguments[:end])
    if unknown:
        given, _, _ = unknown[0].partition("=")
        meant = did_you_mean(given, options_of(top, parsed.command)) if given.startswith("--") else ""
        raise UsageError(f"Unknown option '{unknown[0]}'{meant}: see `fruits {parsed.command} --help`.")
    if rest:
        getattr(parsed, rest).extend(arguments[end + 1 :])
    parsed.begun = _BEGUN
    return parsed


def options_of(top: argparse.ArgumentParser, command: str) -> list[str]:
    """The long options of one of its commands."""
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001  (argparse tells its options no other way)
    return [option for option in commands.choices[command]._option_string_actions if option.startswith("--")]  # noqa: SLF001  (as above)


def _debug(arguments: Sequence[str]) -> bool:
    return "--debug" in arguments or os.environ.get("FRUITS_DEBUG", "").lower() in ("1", "true", "yes", "on")


def _sentence(error: Exception) -> str:
    """One sentence for an error from below: the one that a worker raised for the user, or the last line."""
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
