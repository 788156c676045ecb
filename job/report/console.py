"""What `fruits run` says while it works: a page for a terminal, one line an event for a log."""

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import pyarrow as pa

from job.report import text
from job.report.advance import Advance, Bar
from job.report.reference import SERIES
from job.report.text import PREVIEW_ROWS
from job.secrets import redact

if TYPE_CHECKING:
    import rich.console

# Seconds from one look at an operation that runs to the next, in a terminal and in a log.
_LIVE, _LOGGED = 0.5, 10.0
# Columns of a preview line in a log: a bag of words has 5,000, and a log line is read as a whole.
PREVIEW_COLUMNS = 12


class Progress(Protocol):
    """What a long operation reports to while it runs."""

    def update(self, completed: int, total: int | None = None) -> None:
        """`completed` of `total` are done; no `total` leaves it as it was."""


class Console:
    """Prints a run's events to `stream`.

    Parameters
    ----------
    stream : standard output unless given
    quiet : leave out all but warnings and the end
    verbose : in lines, tell first rows of tables, categories and timings too
    terminal : lay out for a terminal (True) or as lines (False); asks `stream` unless given
    as_json : lines are JSON objects rather than `key=value`, also in a terminal

    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        terminal: bool | None = None,
        as_json: bool = False,
    ) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._quiet, self._verbose, self._json = quiet, verbose, as_json
        self._terminal = not as_json and (self._stream.isatty() if terminal is None else terminal)
        self._encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._rich: rich.console.Console | None = None
        self._bar: Bar | None = None
        self._lock = threading.Lock()

    def start(self, run_name: str, settings: Mapping[str, object], command: str = "run") -> None:
        """The name of what `command` begins, and its settings; secrets are hidden, settings left at nothing are left
        out."""
        if self._quiet:
            return
        shown = {key: redact(key, value) for key, value in settings.items() if value is not None}
        if not self._terminal:
            self._line("start", {"run_name": run_name, **shown})
            return
        self._rule(f"fruits {command} · {run_name}")
        self._facts(shown)

    def step(
        self,
        operation: str,
        split: str,
        facts: Mapping[str, object],
        preview: pa.Table | None = None,
        seconds: float | None = None,
    ) -> None:
        """An operation's result: `facts` (object, partitions, dimensions, ...), its first rows, its seconds."""
        if self._quiet:
            return
        rows = preview.slice(0, PREVIEW_ROWS) if preview is not None else None
        if not self._terminal:
            self._line("step", {"operation": operation, "split": split, **facts, "seconds": seconds})
            for number, row in enumerate(_records(rows if self._verbose else None, PREVIEW_COLUMNS), start=1):
                self._line("row", {"operation": operation, "split": split, "row": number, **row})
            return
        taken = "" if seconds is None else f" · {text.seconds(seconds)}"
        self._rule(f"{operation} · {split}{taken}")
        self._facts(facts)
        if rows is not None and rows.num_columns:
            self._preview(rows)

    def categories(self, split: str, counts: Mapping[str, int]) -> None:
        """Pictures of each category, and the total."""
        if self._quiet or not (self._terminal or self._verbose):
            return
        images = sum(counts.values())
        if not self._terminal:
            for name, count in counts.items():
                self._line("category", {"split": split, "cat": name, "images": count})
            self._line("categories", {"split": split, "categories": len(counts), "images": images})
            return
        from rich.columns import Columns
        from rich.text import Text

        entries = [
            Text.assemble(self._clean(name), " ", (text.number(count), "cyan")) for name, count in counts.items()
        ]
        out = self._open()
        heading = f"{split}: {text.number(images)} pictures of {len(counts)} categories"
        out.print(Text(heading, style="bold"))
        out.print(Columns(entries, padding=(0, 2), column_first=True))

    def timings(self, table: pa.Table, reference: pa.Table | None = None) -> None:
        """Seconds, tasks and partitions per operation and split, and the total.

        `table` has the columns `operation, split, seconds, tasks, partitions`; `reference` (such as
        `reference.emr_table()`) sets further seconds beside them.
        """
        if self._quiet or not (self._terminal or self._verbose):
            return
        rows = table.to_pylist()
        beside_rows = reference.to_pylist() if reference is not None else []
        others = {(row["operation"], row["split"]): row for row in beside_rows}
        series = list(reference.column_names[2:]) if reference is not None else []
        for row in rows:
            beside = others.get((row["operation"], row["split"]), {})
            row.update({name: beside.get(name) for name in series})
        if not any(row["operation"] == "total" for row in rows):
            rows.append({"operation": "total", "split": "all", "seconds": sum(row["seconds"] for row in rows)})
        if not self._terminal:
            for row in rows:
                self._line("timing", row)
            return
        self._timings(rows, series)

    def rounds(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """How recipes did in the rounds of a protocol: accuracy with its interval, and the difference to the run's own.

        A row has `round, split, model, accuracy, low, high, difference, difference_low, difference_high`; a figure that
        is None was not measured. `in_copies` is False where no copy that was learned from has such a disturbance: the
        first recipe's rows get a star.
        """
        if self._quiet or not rows:
            return
        if not self._terminal:
            for row in rows:
                self._line("round", row)
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
        for heading in ("round", "scored", "model", "accuracy", "interval", "recipe is better by"):
            table.add_column(heading, no_wrap=True, overflow="crop")
        starred = False
        for row in rows:
            less = row["difference"]
            better = (
                "" if less is None else f"{less:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"
            )
            measured = row["accuracy"] is not None
            accuracy = f"{row['accuracy']:.3f}" if measured else "not measured"
            interval = f"{row['low']:.3f} to {row['high']:.3f}" if measured else ""
            unseen = row["model"] == rows[0]["model"] and row.get("in_copies") is False
            starred |= unseen
            table.add_row(
                row["round"], row["split"] + (" *" if unseen else ""), row["model"], accuracy, interval, better
            )
        self._rule("rounds of the protocol")
        self._open().print(table)
        if starred:
            self._open().print("  * a disturbance that is in no changed copy that was learned from")

    def warning(self, sentence: str) -> None:
        """Something the user ought to know; the run goes on."""
        if self._terminal:
            self._sentence("warning", "yellow", sentence)
        else:
            self._line("warning", {"message": sentence})

    def done(self, out_uri: str, accuracy: float | None, seconds: float | None) -> None:
        """The end: where the results are; `accuracy` is a share of 1, none where nothing was classified."""
        if not self._terminal:
            self._line("done", {"out": redact("out", out_uri), "accuracy": accuracy, "seconds": seconds})
            return
        score = "" if accuracy is None else f", accuracy {text.percent(accuracy)}"
        where = redact("out", out_uri)
        taken = "" if seconds is None else f"in {text.seconds(seconds)}{score}. "
        self._sentence("done", "green", f"{taken}Results: {where}")

    @property
    def period(self) -> float | None:
        """Seconds from one look at an operation that runs to the next; None where nothing is told of it."""
        return None if self._quiet else _LIVE if self._terminal else _LOGGED

    def advance(self, found: Advance) -> None:
        """How far an operation is: a bar in a terminal until it settles, a line in a log."""
        if not self._terminal:
            self._line("progress", found.facts())
            return
        if self._bar is None:
            self._bar = Bar(self._open())
        self._bar.show(found)

    def settle(self) -> None:
        """The operation is over: its bar goes."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[Progress]:
        """A bar that lasts as long as the block; silent when the output is no terminal."""
        if self._quiet or not self._terminal:
            yield _Silent()
            return
        import rich.progress as bars

        columns = (
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
        )
        with bars.Progress(*columns, console=self._open(), transient=True) as progress:
            yield _Bar(progress, progress.add_task(self._clean(description), total=total))

    def event(self, kind: str, facts: Mapping[str, object]) -> None:
        """Something of a kind that no other method has: a line in a terminal too."""
        if not self._quiet:
            self._line(kind, facts)

    def _line(self, event: str, facts: Mapping[str, object]) -> None:
        """`event=... key=value ...` or a JSON object, flushed: a pod's log shows it at once."""
        pairs = {"event": event, **{key: value for key, value in facts.items() if value is not None}}
        if self._json:
            line = json.dumps({key: _as_json(value) for key, value in pairs.items()})
        else:
            line = " ".join(f"{_key(key)}={self._value(value)}" for key, value in pairs.items())
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _value(self, value: object) -> str:
        if isinstance(value, float):
            return repr(round(value, 6))
        shown = self._clean(text.plain(value))
        return json.dumps(shown, ensure_ascii=False) if not shown or any(char in shown for char in ' ="\\') else shown

    def _clean(self, value: object) -> str:
        return text.clean(str(value), self._encoding)

    def _open(self) -> "rich.console.Console":
        if self._rich is None:
            from rich.console import Console as Rich

            self._rich = Rich(file=self._stream, highlight=False, force_terminal=True, soft_wrap=False)
        return self._rich

    def _rule(self, title: str) -> None:
        from rich.rule import Rule
        from rich.text import Text

        out = self._open()
        out.print()
        out.print(Rule(Text(self._clean(title), style="bold"), align="left", style="dim"))

    def _facts(self, facts: Mapping[str, object]) -> None:
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True, overflow="crop")
        grid.add_column(overflow="fold")
        for key, value in facts.items():
            shown = text.number(value) if isinstance(value, int) and not isinstance(value, bool) else text.plain(value)
            grid.add_row(Text(self._clean(key)), Text(self._clean(shown)))
        if grid.row_count:
            self._open().print(grid)

    def _preview(self, rows: pa.Table) -> None:
        """As many leading columns as the terminal is wide; the others are counted."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        out = self._open()
        columns = [
            [self._clean(text.cell(name)), *(self._clean(text.cell(value)) for value in column.to_pylist())]
            for name, column in zip(rows.column_names, rows.columns, strict=True)
        ]
        shown = _columns_that_fit([max(map(len, cells)) for cells in columns], out.width)
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
        for cells, column in zip(columns[:shown], rows.columns, strict=False):
            numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
            table.add_column(Text(cells[0]), justify="right" if numeric else "left", no_wrap=True, overflow="crop")
        for record in zip(*(cells[1:] for cells in columns[:shown]), strict=True):
            table.add_row(*(Text(value) for value in record))
        out.print(table)
        if shown < len(columns):
            out.print(Text(f"and {text.number(len(columns) - shown)} more columns", style="dim"))

    def _timings(self, rows: Sequence[Mapping[str, Any]], series: Sequence[str]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
        table.add_column("operation", no_wrap=True, overflow="crop")
        table.add_column("split", no_wrap=True, overflow="crop")
        for heading in ("seconds", "tasks", "partitions"):
            table.add_column(heading, justify="right", no_wrap=True, overflow="crop")
        for name in series:
            table.add_column(
                SERIES.get(name, name).split(",")[0].replace(" nodes", ""),
                justify="right",
                no_wrap=True,
                overflow="crop",
            )
        for row in rows:
            numbers = [row.get("tasks"), row.get("partitions")]
            cells = ["" if value is None else text.number(value) for value in numbers]
            times = [_column_seconds(row.get(name)) for name in ("seconds", *series)]
            style = "bold" if row["operation"] == "total" else ""
            table.add_row(row["operation"], row["split"], times[0], *cells, *times[1:], style=style)
        out = self._open()
        self._rule("seconds per operation")
        out.print(table)

    def _sentence(self, kind: str, style: str, sentence: str) -> None:
        from rich.text import Text

        self._open().print(Text.assemble((kind, f"bold {style}"), " ", self._clean(sentence)))


class _Silent:
    def update(self, completed: int, total: int | None = None) -> None:
        """Say nothing."""


class _Bar:
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def update(self, completed: int, total: int | None = None) -> None:
        self._progress.update(self._task, completed=completed, total=total)


def _records(rows: pa.Table | None, columns: int) -> list[dict[str, str]]:
    """A preview's rows as texts, of its first `columns` columns."""
    if rows is None:
        return []
    names = rows.column_names[:columns]
    values = [[text.cell(value, width=80) for value in column.to_pylist()] for column in rows.columns[:columns]]
    return [dict(zip(names, record, strict=True)) for record in zip(*values, strict=True)]


def _as_json(value: object) -> object:
    """What JSON can say of it."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(inner) for inner in value]
    return value if isinstance(value, (bool, int, str)) else str(value)


def _column_seconds(value: float | None) -> str:
    """Seconds in at most seven characters, with one decimal point above the other."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"


def _columns_that_fit(widths: Sequence[int], available: int) -> int:
    """How many leading columns of these widths, one space on either side, fit into `available` characters."""
    used = 0
    for shown, width in enumerate(widths):
        used += width + 2
        if used > available:
            return max(shown, 1)
    return len(widths)


def _key(key: str) -> str:
    """A key without the characters that end one."""
    return "".join(char if char.isalnum() or char in "_.-" else "_" for char in str(key))
