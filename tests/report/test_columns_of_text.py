"""A small table as lines of text."""

from job.report.columns import aligned


def test_columns_are_aligned_and_numbers_end_flush():
    assert aligned([("run", "pictures"), ("a", "5"), ("monday", "1,000")], (1,)) == [
        "run     pictures",
        "a              5",
        "monday     1,000",
    ]


def test_what_a_terminal_would_obey_is_written_as_escapes():
    assert aligned([("\x1b[31mred", "é")], (), "ascii") == ["\\x1b[31mred  \\xe9"]
