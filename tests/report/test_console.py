import io
import json
import re
import shlex
import subprocess
import sys

import pyarrow as pa
import pytest

from job.report import tables
from job.report.advance import Advance
from job.report.console import Console
from job.report.reference import emr_table

PREVIEW = pa.table(
    {
        "ima": [f"Training/Apple, red/{number}_100.jpg" for number in range(9)],
        "cat": ["\x1b[31m[bold]red"] * 9,
        "descriptors": [b"x" * 4100] * 9,
        **{str(number): [0.25] * 9 for number in range(60)},
    }
)
TIMINGS = tables.timings_table([("read_images", "train", 0.5, None, 4), ("fit_vocabulary", "train", 1.25, 8, 8)])
WHOLE = tables.timings_table([("total", "all", 12345.678, None, None)])


def test_the_heading_names_the_command():
    stream = io.StringIO()
    console = Console(stream, terminal=True)
    console.start("monday", {}, "tune")
    console.start("tuesday", {})
    assert "fruits tune · monday" in stream.getvalue()
    assert "fruits run · tuesday" in stream.getvalue()


def tell_everything(console):
    console.start("my run", {"words": 50, "out": None, "conf": {"fs.s3a.secret.key": "hush"}})
    console.categories("train", {"Lemon": 492, "Apple [red]": 1000})
    facts = {"object": "DataFrame[ima, cat]", "partitions": 12, "dimensions": "876 x 3"}
    console.step("extract_descriptors", "train", facts, PREVIEW, 3.25)
    console.timings(TIMINGS, emr_table())
    console.warning("3 pictures had no descriptors.")
    console.done("out/my run", 0.9512345678, 21.3)


@pytest.fixture
def log():
    """Of a console that tells all."""
    stream = io.StringIO()
    tell_everything(Console(stream, verbose=True))
    return stream.getvalue()


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    tell_everything(Console(stream, terminal=True))
    return stream.getvalue()


def plain(page):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", page)


def events(log):
    return [dict(pair.split("=", 1) for pair in shlex.split(line)) for line in log.splitlines()]


def test_without_a_terminal_each_line_is_one_event_that_a_program_can_read(log):
    found = events(log)
    assert [event["event"] for event in found] == [
        *("start", "category", "category", "categories", "step"),
        *["row"] * 5,
        *["timing"] * 3,
        *("warning", "done"),
    ]
    step = next(event for event in found if event["event"] == "step")
    assert step == {
        "event": "step",
        "operation": "extract_descriptors",
        "split": "train",
        "object": "DataFrame[ima, cat]",
        "partitions": "12",
        "dimensions": "876 x 3",
        "seconds": "3.25",
    }
    assert found[-1] == {"event": "done", "out": "out/my run", "accuracy": "0.951235", "seconds": "21.3"}
    assert found[3] == {"event": "categories", "split": "train", "categories": "2", "images": "1492"}


def test_a_log_has_few_lines_unless_more_are_asked_for():
    stream = io.StringIO()
    tell_everything(Console(stream))
    assert [event["event"] for event in events(stream.getvalue())] == ["start", "step", "warning", "done"]


@pytest.mark.parametrize("terminal", [True, False])
def test_as_json_each_line_is_an_object_also_in_a_terminal(terminal):
    stream = io.StringIO()
    tell_everything(Console(stream, terminal=terminal, as_json=True))
    start, step, warning, done = map(json.loads, stream.getvalue().splitlines())
    assert start == {"event": "start", "run_name": "my run", "words": 50, "conf": {"fs.s3a.secret.key": "***"}}
    assert step["seconds"] == 3.25
    assert step["partitions"] == 12
    assert warning == {"event": "warning", "message": "3 pictures had no descriptors."}
    assert done == {"event": "done", "out": "out/my run", "accuracy": 0.951235, "seconds": 21.3}


def test_as_json_what_a_name_is_made_of_is_escaped():
    stream = io.StringIO()
    Console(stream, as_json=True).step("read_images", "train", {"root": "\x1b[31m\x9b é", "of": pa.int64()})
    assert stream.getvalue().isascii()
    assert "\x1b" not in stream.getvalue()
    assert json.loads(stream.getvalue())["root"] == "\x1b[31m\x9b é"


def test_without_a_terminal_no_escape_sequence_is_written(log):
    assert "\x1b" not in log
    assert all(line.isprintable() for line in log.splitlines())


def test_a_preview_in_a_log_names_binary_by_its_size_and_stops_at_some_columns(log):
    row = next(event for event in events(log) if event["event"] == "row")
    assert row["descriptors"] == "<4.1 kB>"
    assert "0" in row
    assert "59" not in row


def test_each_line_of_a_log_is_flushed_at_once():
    class Stream(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream = Stream()
    console = Console(stream)
    console.warning("one")
    console.warning("two")
    assert stream.flushed == 2


def test_a_total_is_made_where_the_timings_have_none(log):
    total = [event for event in events(log) if event["event"] == "timing"][-1]
    assert total == {"event": "timing", "operation": "total", "split": "all", "seconds": "1.75"}


def test_the_reference_stands_beside_the_same_operation(log):
    timing = next(event for event in events(log) if event.get("operation") == "fit_vocabulary")
    assert timing["emr_2_nodes_8_cores_s"] == "133.76"


def test_on_a_terminal_no_line_is_wider_than_it(page):
    shown = plain(page)
    assert max(map(len, shown.splitlines())) <= 80
    for words in (
        "extract_descriptors · train · 3.25 s",
        "876 x 3",
        "<4.1 kB>",
        "more columns",
        "Apple [red]",
        "1,492",
    ):
        assert words in shown
    assert shown.count("<4.1 kB>") == 5
    assert re.search(r"fit_vocabulary +train +1\.25 +8 +8 +133\.76 +83\.63 +962\.98", shown)


def test_a_recipe_that_measured_nothing_in_a_round_is_told_so(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    figures = ("accuracy", "low", "high", "difference", "difference_low", "difference_high")
    row = {"round": "all", "split": "test", "model": "reference", **dict.fromkeys(figures)}
    terminal, lines = io.StringIO(), io.StringIO()
    Console(terminal, terminal=True).rounds([row])
    assert re.search("all +test +reference +not measured", plain(terminal.getvalue()))
    Console(lines).rounds([row])
    assert lines.getvalue() == "event=round round=all split=test model=reference\n"


def test_a_disturbance_that_was_not_learned_from_has_a_star_in_the_row_of_the_runs_own_recipe():
    figures = dict.fromkeys(("difference", "difference_low", "difference_high")) | {
        "round": "robustness",
        "accuracy": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    seen = {**figures, "model": "recipe", "split": "blur", "in_copies": True}
    unseen = [{**figures, "model": model, "split": "jpeg-30", "in_copies": False} for model in ("recipe", "hsv")]
    terminal = io.StringIO()
    Console(terminal, terminal=True).rounds([seen, *unseen])
    shown = plain(terminal.getvalue())
    assert [line.split()[1:3] for line in shown.splitlines() if "robustness" in line] == [
        ["blur", "recipe"],
        ["jpeg-30", "*"],
        ["jpeg-30", "hsv"],
    ]
    assert "* a disturbance that is in no changed copy" in shown


def test_long_times_are_not_cut_off(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    Console(stream, terminal=True).timings(WHOLE, emr_table())
    assert re.search(r"total +all +12346 +576\.00 +500\.00 +1532\b", plain(stream.getvalue()))


def test_a_name_with_an_escape_sequence_does_not_colour_the_terminal(page):
    assert "\x1b[31m[bold]red" not in page
    assert "\\x1b[31m[bold]red" in page


@pytest.mark.parametrize("terminal", [True, False])
def test_no_secret_is_printed(terminal):
    stream = io.StringIO()
    tell_everything(Console(stream, terminal=terminal))
    assert "hush" not in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_leaves_warnings_and_the_end(terminal):
    stream = io.StringIO()
    tell_everything(Console(stream, quiet=True, terminal=terminal))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "3 pictures had no descriptors." in lines[0]
    assert "out/my run" in lines[1]


def test_a_run_without_classifier_ends_without_accuracy():
    stream = io.StringIO()
    Console(stream).done("out", None, 2.0)
    assert stream.getvalue() == "event=done out=out seconds=2.0\n"


def test_progress_is_silent_without_a_terminal():
    stream = io.StringIO()
    with Console(stream).progress("extracting", 100) as progress:
        progress.update(50)
    assert stream.getvalue() == ""


def test_progress_shows_how_far_it_is_on_a_terminal():
    stream = io.StringIO()
    with Console(stream, terminal=True).progress("[red] extracting", None) as progress:
        progress.update(50, 100)
    assert "[red] extracting" in stream.getvalue()
    assert "50/100" in stream.getvalue()


PART = Advance("extract_descriptors", "train", 20.0, 16, 64, pictures=4000)


def test_an_operation_that_runs_is_a_line_with_tasks_pictures_a_second_and_the_time_left():
    stream = io.StringIO()
    console = Console(stream)
    console.advance(PART)
    console.advance(Advance("fit_vocabulary", "train", 31.2))
    console.advance(Advance("cross_validate", "rung 1", 12.0, 3, 12, "candidates"))
    console.settle()
    assert stream.getvalue().splitlines() == [
        (
            "event=progress operation=extract_descriptors split=train seconds=20 tasks=16 of=64 pictures_per_second=50 "
            "seconds_left=60"
        ),
        "event=progress operation=fit_vocabulary split=train seconds=31",
        'event=progress operation=cross_validate split="rung 1" seconds=12 candidates=3 of=12 seconds_left=36',
    ]


def test_an_operation_that_runs_is_a_bar_in_a_terminal_and_goes_when_it_is_over(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    console = Console(stream, terminal=True)
    console.advance(PART)
    console.warning("One is odd.")
    console.settle()
    console.settle()
    shown = stream.getvalue()
    line = next(line for line in plain(shown).splitlines() if "16/64" in line)
    assert "extract_descriptors · train" in line
    assert "16/64 tasks, 50 pictures/s, a" in line
    assert len(line) <= 80
    assert shown.endswith("\x1b[?25h\r\x1b[1A\x1b[2K"), "the cursor is shown again, and the line is gone"


def test_nobody_looks_at_an_operation_for_a_quiet_console():
    assert Console(quiet=True).period is None
    assert Console(io.StringIO(), terminal=True).period < 1 < Console(io.StringIO()).period == 10.0


@pytest.mark.parametrize(
    ("found", "rate", "left"),
    [
        (Advance("x", "all", 10.0, 0, 8, pictures=100), None, None),
        (Advance("x", "all", 10.0, 8, 8, pictures=100), 10.0, None),
        (Advance("x", "all", 10.0, 2, 8, pictures=100), 2.5, 30.0),
        # jobs that are still to come are not known
        (Advance("x", "all", 10.0, 2, 8), None, None),
    ],
)
def test_rate_and_time_left_are_said_where_they_are_known(found, rate, left):
    assert (found.rate, found.left) == (rate, left)


def test_a_stream_that_knows_only_ascii_gets_escapes_and_no_error():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    for terminal in (False, True):
        tell_everything(Console(stream, terminal=terminal))
        Console(stream, terminal=terminal).categories("test", {"Pêche": 1})
    stream.flush()
    assert b"P\\xeache" in raw.getvalue()


def test_a_log_needs_no_rich():
    code = (
        "import io, sys; from job.report.console import Console; "
        "Console(io.StringIO()).warning('x'); print('rich' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
