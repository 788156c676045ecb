"""Where settings are given, and which of them counts."""

import pytest

from job.errors import UsageError
from job.experiment import flags
from job.given import TELLING, Given, layered, truths


@pytest.mark.parametrize(
    ("given", "said", "key"),
    [
        (Given("flag", "--words", "20"), "--words 20", "--words k"),
        (Given("environment", "FRUITS_WORDS", "20"), "FRUITS_WORDS=20", "FRUITS_WORDS k"),
        (Given("file", "'words' in a.toml", 20), "'words' in a.toml (20)", "'words' in a.toml, k,"),
        (Given("default", "--words", 20), "--words 20", "--words k"),
        (Given("flag", "--no-classify", "true"), "--no-classify", "--no-classify k"),
        (Given("file", "'no_classify' in a.toml", True), "'no_classify' in a.toml", "'no_classify' in a.toml, k,"),
    ],
)
def test_a_sentence_names_a_value_as_it_was_given(given: Given, said: str, key: str):
    assert str(given) == said
    assert given.part("k") == key


def test_a_stronger_place_hides_the_same_setting_and_what_says_the_same_in_another_way():
    flag, variable = Given("flag", "--data", "a"), Given("environment", "FRUITS_TRAIN", "b")
    seed = Given("file", "'seed' in a.toml", 3)
    assert layered([{"data": flag}, {"train": variable}, {"seed": seed}]) == {"data": flag, "seed": seed}
    assert layered([{}, {"train": variable}, {"data": flag}]) == {"train": variable}
    assert layered([{"data": flag, "train": variable}]) == {"data": flag, "train": variable}


def test_how_much_is_told_may_be_said_in_each_place(toml):
    path = toml("quiet = true\njson = true\nwords = 30")
    assert truths(TELLING, {"config": path}, {}) == {"quiet": True, "verbose": False, "json": True}
    assert truths(TELLING, {}, {"FRUITS_CONFIG": path}) == {"quiet": True, "verbose": False, "json": True}
    assert truths(TELLING, {"config": path}, {"FRUITS_QUIET": "0", "FRUITS_JSON": " "}) == {
        "quiet": False,
        "verbose": False,
        "json": True,
    }


def test_telling_more_hides_telling_less_of_a_weaker_place_and_the_other_way_round(toml):
    less, more = toml("quiet = true"), {"FRUITS_VERBOSE": "1"}
    assert truths(TELLING, {"config": less}, more) == {"quiet": False, "verbose": True, "json": False}
    assert truths(TELLING, {"quiet": True}, more) == {"quiet": True, "verbose": False, "json": False}
    assert truths(TELLING, {"verbose": True, "config": less}, {}) == {"quiet": False, "verbose": True, "json": False}


@pytest.mark.parametrize("name", TELLING)
def test_a_variable_that_is_neither_true_nor_false_is_refused(name: str):
    with pytest.raises(UsageError, match=f"FRUITS_{name.upper()} is 'perhaps': it must be true or false"):
        truths(TELLING, {}, {f"FRUITS_{name.upper()}": "perhaps"})


def test_what_a_file_may_say_of_telling_is_what_the_options_are():
    assert set(flags.TELLING) == set(TELLING)
