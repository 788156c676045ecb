import pytest

from job.report import text
from job.secrets import redact


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0312, "0.031 s"),
        (0.9996, "1.00 s"),
        (9.996, "10.0 s"),
        (187.2, "187 s"),
        (1532.4, "25 min 32 s"),
        (3599.7, "1 h 00 min"),
        (11100, "3 h 05 min"),
    ],
)
def test_a_duration_reads_as_a_person_would_say_it(value, shown):
    assert text.seconds(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (4100, "4.1 kB"), (999_960, "1.0 MB"), (3.3e9, "3.3 GB")]
)
def test_a_size_has_its_unit(count, shown):
    assert text.size(count) == shown


def test_a_name_can_not_give_orders_to_a_terminal():
    assert text.clean("a\x1b[31mb\r\nc") == "a\\x1b[31mb\\r\\nc"


def test_a_name_that_an_encoding_lacks_is_written_as_escapes():
    assert text.clean("Pêche", "ascii") == "P\\xeache"
    assert text.clean("bad \udcff name") == "bad \\udcff name"


def test_secrets_are_hidden_wherever_they_stand():
    shown = text.plain(
        [
            redact("conf", {"spark.hadoop.fs.s3a.secret.key": "hush", "spark.ui.port": "4040"}),
            redact("conf", ["spark.hadoop.fs.s3a.access.key=hush", "a=b"]),
            redact("AWS_SESSION_TOKEN", "hush"),
            redact("data", "s3://me:hush@host/bucket"),
        ]
    )
    assert "hush" not in shown
    assert "s3://host/bucket" in shown
    assert "4040" in shown
    assert "a=b" in shown


def test_a_setting_of_nothing_stays_nothing():
    assert redact("token", None) is None


def test_a_cell_keeps_both_ends_of_a_long_path():
    shown = text.cell("Training/Apple Braeburn, the long one/r_100_100.jpg")
    assert len(shown) == 28
    assert shown.startswith("Training/")
    assert shown.endswith("r_100_100.jpg")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"x" * 4100, "<4.1 kB>"),
        (None, ""),
        (3, "3"),
        (2.0, "2.0"),
        (0.123456, "0.1235"),
        (list(range(99)), "[99 values]"),
    ],
)
def test_a_cell_is_short_whatever_it_holds(value, shown):
    assert text.cell(value) == shown
