"""The one parser of whole numbers."""

import pytest

from job.numbers import whole_number


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" 12 ", 12), ("99", 99)])
def test_a_whole_number_is_read(text, value):
    assert whole_number(1, 99)(text) == value


@pytest.mark.parametrize("text", ["0", "-5", "1.0", "1e3", "x", "", "²", "+3", "1_000", "٣", "1 2", "9" * 31])
def test_anything_else_is_told_with_what_it_may_be(text):
    with pytest.raises(ValueError, match=r"^a whole number of 1 or more$"):
        whole_number(1)(text)


def test_a_number_that_is_too_large_is_told_with_both_ends():
    with pytest.raises(ValueError, match=r"^a whole number from 1 to 9$"):
        whole_number(1, 9)("10")
