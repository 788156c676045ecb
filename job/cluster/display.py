"""What `fruits submit` shows: the driver's log line by line, and below it the state of the job."""

import re
import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import rich.console
    import rich.live

_STEP = re.compile(r"^event=step operation=(\S+) split=(\S+)")


class Display:
    """The log goes to standard output, all else to standard error: as a line that changes in a terminal, otherwise as
    a line for each change."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._live: rich.live.Live | None = None
        self._console: rich.console.Console | None = None
        self._state = self._done = ""

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and sys.stderr.isatty():
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
        if text != self._state:
            self._state = text
            if not self._live:
                self.say(text)

    def say(self, text: str) -> None:
        """Something that happened."""
        seconds = f"{time.monotonic() - self._begun:6.1f} s"
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
