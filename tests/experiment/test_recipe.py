"""Blocks of features as they are named."""

import pytest

from job.errors import UsageError
from job.experiment.recipe import Block, blocks_of
from job.learn.encodings import ENCODINGS


def test_each_block_has_the_encoding_of_its_descriptor_and_the_usual_number_of_words_unless_others_are_named() -> None:
    found = blocks_of("sift+orb:soft+rootsift:vlad:16+hsv", None, 50)
    assert found == (
        Block("sift", "counts", 50),
        Block("orb", "soft", 50),
        Block("rootsift", "vlad", 16),
        Block("hsv", "root", 1),
    )
    assert [str(block) for block in found] == ["sift:counts:50", "orb:soft:50", "rootsift:vlad:16", "hsv:root"]


@pytest.mark.parametrize("encoding", ["pyramid", "rings"])
@pytest.mark.parametrize("name", ["sift", "rootsift", "orb", "surf", "dense-rootsift"])
def test_an_encoding_of_places_takes_the_descriptor_with_places(name: str, encoding: str) -> None:
    (found,) = blocks_of(f"{name}:{encoding}:30", None, 50)
    assert found == Block(f"placed-{name}", encoding, 30)
    assert blocks_of(str(found), None, 50) == (found,)


@pytest.mark.parametrize("named", ["hsv:pyramid", "placed-sift:vlad", "patches:rings:8", "placed-orb:counts"])
def test_what_does_not_go_together_is_told_with_what_does(named: str) -> None:
    with pytest.raises(UsageError) as told:
        blocks_of(f"{named}+lbp", None, 50)
    placed = named.startswith("placed")
    fitting = [name for name in ENCODINGS if (name in {"pyramid", "rings"}) is placed]
    block = ":".join(named.split(":")[:2])
    assert str(told.value) == (
        f"--features names {block}, which do not go together: choose one of {', '.join(fitting)} for the encoding."
    )


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("brisk", "--features names 'brisk': choose one of sift, rootsift,"),
        ("sift:bow", "--features names the encoding 'bow': choose one of counts, none,"),
    ],
)
def test_names_that_there_are_not_are_told_with_those_that_there_are(features: str, said: str) -> None:
    with pytest.raises(UsageError) as told:
        blocks_of(features, None, 50)
    assert str(told.value).startswith(said)
