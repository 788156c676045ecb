"""What `fruits submit` shows: the driver's log line by line, and below it the state of the job."""

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import rich.console
    import rich.live

    from job.report.console import Console as Lines

_STEP = re.compile(r"^event=step operation=(\S+) split=(\S+)")


class Display:
    """The log goes to standard output, all else to standard error: as a line that changes in a terminal, otherwise as
    a line for each change.

    Parameters
    ----------
    quiet : leave out all but warnings and the end
    verbose : tell each event of the job and its pods, not warnings alone
    as_json : a JSON object a line, all of them to standard output; lines of the log that are JSON objects stay so

    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, as_json: bool = False) -> None:
        self.verbose = verbose
        self._quiet = quiet
        self._lines = _lines() if as_json else None
        self._begun = time.monotonic()
        self._live: rich.live.Live | None = None
        self._console: rich.console.Console | None = None
        self._state = self._done = ""

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and sys.stderr.isatty() and not (self._quiet or self._lines):
            from rich.console import Console
            from rich.live import Live

            self._console = Console(highlight=False)
            self._live = Live(get_renderable=self._line, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def log(self, line: str) -> None:
        """A line of the driver's log."""
        if self._quiet:
            return
        if self._lines:
            self._lines.event(*(_event(line) or ("log", {"line": line})))
            return
        step = _STEP.match(line)
        if step:
            self._done = f"{step[1]} {step[2]}"
        if self._live and self._console:
            from rich.text import Text

            self._console.print(Text(line, style="dim"), soft_wrap=True)
        else:
            print(line, flush=True)  # noqa: T201  (the command's answer)

    def state(self, text: str) -> None:
        """How the job stands: told when it changes."""
        if text == self._state:
            return
        self._state = text
        if not self._live and not self._quiet:
            self._tell("state", text)

    def say(self, text: str) -> None:
        """Something that happened."""
        if not self._quiet:
            self._tell("happened", text)

    def warn(self, text: str) -> None:
        """Something that the user ought to know."""
        self._tell("warning", text)

    def done(self, where: str, text: str) -> None:
        """The end: where the results are."""
        if self._lines:
            self._lines.done(where, None, self._seconds())
        else:
            self._tell("done", text)

    def _seconds(self) -> float:
        return round(time.monotonic() - self._begun, 1)

    def _tell(self, kind: str, text: str) -> None:
        if self._lines:
            self._lines.event(kind, {"message": text, "seconds": self._seconds()})
            return
        seconds = f"{self._seconds():6.1f} s"
        if self._live and self._console:
            from rich.text import Text

            self._console.print(Text.assemble((seconds, "dim"), "  ", text), soft_wrap=True)
        else:
            print(f"{seconds}  {text}", file=sys.stderr, flush=True)  # noqa: T201

    def _line(self) -> Any:
        from rich.spinner import Spinner
        from rich.text import Text

        last = f" · {self._done} done" if self._done else ""
        seconds = int(time.monotonic() - self._begun)
        return Spinner("dots", Text(f"{self._state}{last} · {seconds} s"))


def _lines() -> "Lines":
    from job.report.console import Console as Lines

    return Lines(as_json=True)


def _event(line: str) -> tuple[str, dict[str, Any]] | None:
    """The event in a line, where it is one as `--json` tells them."""
    try:
        found = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return None
    return (str(found.pop("event")), found) if isinstance(found, dict) and "event" in found else None
