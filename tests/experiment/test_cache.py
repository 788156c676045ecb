from pathlib import Path

import pyarrow as pa
import pytest

from job.dataset import Images
from job.experiment import cache
from job.experiment.choices import choices
from job.settings import Settings, resolve


def images(*names: str, size: int = 10, root: str = "/data") -> Images:
    columns = {"ima": list(names), "cat": [name.split("/")[1] for name in names], "size": [size] * len(names)}
    return Images("train", root, pa.table(columns))


def settings(**flags: str) -> Settings:
    return resolve({"cache": "/cache", **flags}, {}, choices=choices())


def test_the_same_pictures_and_descriptor_have_the_same_place_whatever_else_is_set():
    places = {
        cache._place(images("Training/A/1.jpg"), settings(**flags))
        for flags in ({}, {"words": "10"}, {"seed": "5"}, {"preset": "reference", "descriptor": "rootsift"})
    }
    (place,) = places
    assert Path(place).parent == Path("/cache")
    assert Path(place).name.startswith("rootsift-")


@pytest.mark.parametrize(
    "other",
    [images("Training/A/2.jpg"), images("Training/A/1.jpg", size=11), images("Training/A/1.jpg", "Training/A/2.jpg")],
)
def test_other_pictures_have_a_place_of_their_own(other):
    assert cache._place(other, settings()) != cache._place(images("Training/A/1.jpg"), settings())


def test_another_descriptor_has_a_place_of_its_own():
    assert len({cache._place(images("Training/A/1.jpg"), settings(descriptor=name)) for name in ("sift", "orb")}) == 2
