"""The command `fruits`: it parses, calls one of the commands, and turns errors into a sentence and an exit code."""

import time

# The clock starts before the imports, which are part of a run.
_BEGUN = time.perf_counter()

import argparse
import errno
import gc
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from job.commands.parsers import COMMANDS, options, options_of, parser, parsers_of
from job.errors import UsageError, UserError, tell
from job.near_miss import did_you_mean
from job.secrets import without_logins
from job.signals import terminated_as_interrupted
from job.streams import give_up_output, open_closed_streams, unwritten

FAILED, INTERRUPTED = 1, 130
_HARDLY_ANY_ROOM = 16 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command, SIGTERM being answered as Ctrl-C is.

    Returns
    -------
    The exit code: 0 done; 1 the work failed; 2 wrong usage or settings; 130 interrupted.

    """
    # given arguments are not those that this process was started with, maybe long ago
    begun = _BEGUN if argv is None else time.perf_counter()
    arguments = list(sys.argv[1:] if argv is None else argv)
    cause: Exception | None = None
    parsed: argparse.Namespace | None = None
    try:
        with terminated_as_interrupted():
            parsed = _parsed(arguments)
            parsed.begun = begun
            _check_current_folder()
            return int(parsed.function(parsed))
    except UserError as error:
        code, sentence, cause = error.exit_code, error.message, error
    except KeyboardInterrupt:
        code, sentence = INTERRUPTED, "Interrupted: nothing was left half-written."
    except BrokenPipeError:
        give_up_output()
        return FAILED
    except Exception as error:  # noqa: BLE001  (whatever it is, a user gets one sentence)
        code, sentence, cause = FAILED, _sentence(error), error
    if cause and _debug(arguments, parsed):
        sys.stderr.write(without_logins("".join(traceback.format_exception(cause))))
    tell(sentence)
    return code


def command() -> NoReturn:
    """Runs `main` on this process' arguments and ends the process with its exit code.

    The garbage collector is told to leave alone everything that is there, so that Python does not search all that was
    imported for cycles before it ends (`exit` in tests/benchmarks/engine.py measures it).
    """
    open_closed_streams()
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM):  # it is over: its exit code says how it went
        signal.signal(number, signal.SIG_IGN)
    try:
        if reason := unwritten():
            tell(reason)
            code = code or FAILED
    except BrokenPipeError:
        give_up_output()
    gc.freeze()
    # Python ends itself by SIGINT, whatever its exit code, when the last text that it ran by `exec` (as dataclasses and
    # named tuples do) was interrupted, even where that was answered: so the last one is one that was not.
    exec("")  # noqa: S102
    sys.exit(code)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command that they name. Raises UsageError for an option that it does not have."""
    named = next((text for text in arguments if not text.startswith("-")), "")
    _check_place(arguments)
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
        meant = _meant(given, top, parsed.command) if given.startswith("--") else ""
        raise UsageError(f"Unknown option '{unknown[0]}'{meant}: see `fruits {parsed.command} --help`.")
    if rest:
        getattr(parsed, rest).extend(arguments[end + 1 :])
    return parsed


def _check_place(arguments: Sequence[str]) -> None:
    """Raises UsageError where an option of a command stands before the command."""
    first, _, _ = next(iter(arguments), "").partition("=")
    if not first.startswith("-") or first in options(parser(())):
        return
    named = next((text for text in arguments if text in COMMANDS), "run")
    parsers = parsers_of(parser((named, "run")))
    for command in (named, "run"):
        if first in options(parsers[command]):
            raise UsageError(
                f"The option '{first}' is one of a command's own: put it after the command "
                f"(`fruits {command} {first}`)."
            )


def _meant(option: str, top: argparse.ArgumentParser, command: str) -> str:
    """What somebody may have meant by an option that a command does not have, as a part of a sentence."""
    if command != "run" and option in options_of(parser(("run",)), "run"):
        return f", which `fruits run` has and `fruits {command}` has not"
    return did_you_mean(option, options_of(top, command))


def _check_current_folder() -> None:
    """Raises UserError where there is none, which neither relative paths nor Java can do without."""
    try:
        os.getcwd()  # noqa: PTH109  (pathlib takes longer to import)
    except OSError:
        raise UserError("The current folder was removed, or can't be reached: change to another one (cd).") from None


def _debug(arguments: Sequence[str], parsed: argparse.Namespace | None) -> bool:
    """Whether the traceback of an error is to be shown: by the flag, else by FRUITS_DEBUG, else by the file of a
    command that has `--config`."""
    if "--debug" in arguments:
        return True
    from job.given import truths, variable_name

    read = ("debug", "config") if hasattr(parsed, "config") else ("debug",)
    environment = {name: os.environ.get(name, "") for name in map(variable_name, read)}
    with suppress(UsageError):  # what can't be read is told, or is told by others
        return truths(("debug",), {"config": getattr(parsed, "config", None)}, environment)["debug"]
    return False


def _sentence(error: Exception) -> str:
    """One sentence for an error from below: the one that a worker raised for the user, or the last line."""
    text = str(error)
    raised = re.findall(r"^job\.errors\.(?:UserError|UsageError): (.+)$", text, re.MULTILINE)
    if raised:
        return str(raised[-1])
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None and _has_room():
        return "There is no room left for what the command says, standard output: free some, or send it elsewhere."
    if not _has_room() or os.strerror(errno.ENOSPC) in text:
        return (
            f"There is no room left for intermediate data, here in '{tempfile.gettempdir()}' or where an executor "
            "keeps its own: free some, or set TMPDIR (on Kubernetes, give the pods larger volumes)."
        )
    lines = [re.sub(r"^(?:: |Caused by: )", "", line.strip()) for line in text.splitlines() if line.strip()]
    if any("jdk.internal.platform.Cgroup" in line for line in lines):
        return (
            "Java can't read the control groups (cgroups) that this process is in, and what they allow it: set "
            "JAVA_TOOL_OPTIONS=-XX:-UseContainerSupport."
        )
    causes = [line for line in reversed(lines) if re.match(r"^[\w.$]+(?:Error|Exception)(?:: \S|$)", line)]
    # a cause that says what it is about, else the last one by its name
    said = next((line for line in causes if ": " in line), causes[0] if causes else "")
    said = said or (lines[0] if lines else type(error).__name__)
    return f"The work failed: {said[:300].rstrip('.')} (--debug shows where)."


def _has_room() -> bool:
    """Whether more than hardly anything is free where Spark works here, which has errors of its own for what it can't
    find again on a full disk."""
    with suppress(OSError):
        return shutil.disk_usage(tempfile.gettempdir()).free >= _HARDLY_ANY_ROOM
    return True


if __name__ == "__main__":
    command()
