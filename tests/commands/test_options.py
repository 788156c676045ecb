"""Texts of options as values."""

import argparse

import pytest

from job.commands.options import counts, dollars, duration, memory, number


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (number(0), "0", 0),
        (number(1), "12", 12),
        (duration, "90", 90.0),
        (duration, "1.5m", 90.0),
        (duration, "2h", 7200.0),
        (counts, "4, 1,2,4", [1, 2, 4]),
        (memory, "2g", 2048),
        (memory, "1536M", 1536),
        (dollars, "0", 0.0),
        (dollars, "0.192", 0.192),
    ],
)
def test_a_text_becomes_its_value(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (number(1), "0", "'0' must be a whole number of 1 or more"),
        (number(0), "-1", "'-1' must be a whole number of 0 or more"),
        (number(1), "1.5", "'1.5' must be a whole number of 1 or more"),
        (duration, "soon", "'soon' must be a time such as 90s, 30m or 2h"),
        (duration, "0s", "'0s' must be a time"),
        (counts, "1,x", "'1,x' must be whole numbers of 1 or more"),
        (counts, "", "'' must be whole numbers of 1 or more"),
        (memory, "lots", "'lots' must be an amount of memory"),
        (memory, "0g", "'0g' must be an amount of memory"),
        (memory, "", "'' must be an amount of memory"),
        (dollars, "-1", "'-1' must be a number of dollars"),
        (dollars, "inf", "'inf' must be a number of dollars"),
    ],
)
def test_another_text_is_told_with_what_it_must_be(parse, text, said):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        parse(text)
    assert str(error.value).startswith(said)
