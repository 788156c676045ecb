"""What somebody may have meant by a name that is not known."""

import pytest

from job.near_miss import did_you_mean, nearest_name


@pytest.mark.parametrize(
    ("given", "names", "meant"),
    [
        ("--wordz", ("--words", "--seed"), "--words"),
        ("rum", ("run", "sample"), "run"),
        ("KIWI", ("Kiwi", "Corn"), "Kiwi"),
        ("Apple Red", ("Apple Red 1", "Apple Golden 1", "Pear"), "Apple Red 1"),
        ("fly", ("run", "sample"), None),
        ("", ("run",), None),
        ("run", (), None),
    ],
)
def test_the_most_alike_name_is_meant_and_none_where_none_is_alike(given: str, names: tuple[str, ...], meant):
    assert nearest_name(given, names) == meant


def test_the_part_of_a_sentence_is_empty_where_none_is_alike():
    assert did_you_mean("wrods", ["words"]) == " (did you mean 'words'?)"
    assert did_you_mean("fly", ["words"]) == ""
