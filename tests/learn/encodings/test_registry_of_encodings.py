"""What holds for every encoding that has a name."""

import pytest

from job.learn.encodings import ENCODINGS


@pytest.mark.parametrize("name", ENCODINGS.names)
def test_an_encoding_has_the_name_it_is_found_by(name):
    assert ENCODINGS.get(name).name == name


@pytest.mark.parametrize("name", ENCODINGS.names)
def test_an_encoding_that_learns_says_from_how_many_rows(name):
    encoding = ENCODINGS.get(name)
    assert (encoding.sample_size(50, 128) >= 50) is encoding.learns
