"""Blocks of features as they are named."""

from dataclasses import replace

import pytest

from job.errors import UsageError
from job.experiment.choices import choices
from job.experiment.recipe import Block, Recipe, blocks_of
from job.learn.encodings import ENCODINGS
from job.settings import resolve


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


@pytest.mark.parametrize(
    ("features", "components", "values"),
    [("hsv", 600, 512), ("hsv+lbp", 513, None), ("sift:counts:10+sift:vlad:2", 267, 266), ("sift:pyramid:3", 16, 15)],
)
def test_more_components_than_values_of_all_blocks_are_refused(features: str, components: int, values: int | None):
    settings = resolve({"features": features, "components": str(components)}, {}, choices=choices())
    if values is None:
        assert Recipe.of(settings).components == components
        return
    with pytest.raises(UsageError) as told:
        Recipe.of(settings)
    assert str(told.value) == (
        f"--components {components} is more than the {values} values of --features {features}: there are at most as "
        "many components as values."
    )
    assert Recipe.of(replace(settings, components=values)).components == values
