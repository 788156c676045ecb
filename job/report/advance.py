"""How far an operation is, while it runs: as facts of a log's line, and as a bar in a terminal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from job.report import text
from job.taskfigures import seconds_left

if TYPE_CHECKING:
    import rich.console

_BAR = 12


@dataclass(frozen=True)
class Advance:
    """Of one operation, so far.

    Attributes
    ----------
    operation, split
        Its names.
    seconds
        Since it began.
    done, of
        Parts that are done, and all parts that are known; none where it has no parts.
    unit
        What a part is: "tasks", "candidates".
    pictures
        Number of pictures that all parts together work on; None where parts are no measure of them.

    """

    operation: str
    split: str
    seconds: float
    done: int = 0
    of: int = 0
    unit: str = "tasks"
    pictures: int | None = None

    @property
    def rate(self) -> float | None:
        """Pictures a second, as far as whole parts tell."""
        if self.pictures is None or not self.done:
            return None
        return self.pictures * self.done / self.of / self.seconds

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take, where all parts are known from the start."""
        known = self.pictures is not None or self.unit != "tasks"
        return seconds_left(self.done, self.of, self.seconds) if known else None

    def facts(self) -> dict[str, Any]:
        """As the keys and values of a log's line."""
        rate, left = self.rate, self.left
        return {
            "operation": self.operation,
            "split": self.split,
            "seconds": round(self.seconds),
            self.unit: self.done if self.of else None,
            "of": self.of or None,
            "pictures_per_second": None if rate is None else round(rate),
            "seconds_left": None if left is None else round(left),
        }

    def said(self) -> str:
        """As one sees it beside a bar."""
        rate, left = self.rate, self.left
        parts = [
            f"{text.number(self.done)}/{text.number(self.of)} {self.unit}" if self.of else text.about(self.seconds),
            "" if rate is None else f"{text.number(round(rate))} pictures/s",
            "" if left is None else f"about {text.about(left)} left",
        ]
        return ", ".join(part for part in parts if part)


class Bar:
    """A line of a terminal that changes, and goes when it is stopped."""

    def __init__(self, console: "rich.console.Console") -> None:
        from rich import progress as bars
        from rich.table import Column

        said = Column(no_wrap=True, overflow="ellipsis")
        self._bars = bars.Progress(
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=_BAR),
            bars.TextColumn("{task.fields[said]}", markup=False, table_column=said),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self._task: bars.TaskID | None = None

    def show(self, found: Advance) -> None:
        """Show how far it is."""
        name, total, said = f"{found.operation} · {found.split}", found.of or None, found.said()
        if self._task is None:
            self._task = self._bars.add_task(name, completed=found.done, total=total, said=said)
            self._bars.start()
        else:
            self._bars.update(self._task, description=name, completed=found.done, total=total, said=said)

    def stop(self) -> None:
        """Take the line away."""
        self._bars.stop()
