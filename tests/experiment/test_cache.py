"""Where the cache keeps descriptors, and that runs on one cache do not disturb each other."""

from pathlib import Path

import pyarrow as pa
import pytest

from job import dataset
from job.dataset import Images
from job.experiment import cache
from job.experiment.extract import extractor
from job.experiment.recipe import Block, Recipe
from job.vision.sample import sample_picture, write_sample


def images(*names: str, size: int = 10, root: str = "/data") -> Images:
    columns = {"ima": list(names), "cat": [name.split("/")[1] for name in names], "size": [size] * len(names)}
    return Images("train", root, pa.table(columns))


def recipe(descriptor: str = "rootsift", **more) -> Recipe:
    return Recipe(blocks=(Block(descriptor, "counts", 10),), **more)


ONE = images("Training/A/1.jpg")


def test_the_same_pictures_and_descriptor_have_the_same_place_whatever_is_learned_from_them():
    places = {cache.folder_of(ONE, recipe(**more), "/cache") for more in ({}, {"seed": 5}, {"classifier": "mlp"})}
    places.add(cache.folder_of(ONE, Recipe(blocks=(Block("rootsift", "counts", 99),)), "/cache"))
    (place,) = places
    assert Path(place).parent == Path("/cache")
    assert Path(place).name.startswith("rootsift-")


@pytest.mark.parametrize(
    "other",
    [
        images("Training/A/2.jpg"),
        images("Training/A/1.jpg", size=11),
        images("Training/A/1.jpg", root="/other"),
        images("Training/A/1.jpg", "Training/A/2.jpg"),
    ],
)
def test_other_pictures_have_a_place_of_their_own(other):
    assert cache.folder_of(other, recipe(), "/cache") != cache.folder_of(ONE, recipe(), "/cache")


def test_a_picture_that_was_replaced_by_one_of_its_size_has_a_place_of_its_own(tmp_path: Path):
    write_sample(tmp_path / "data", categories=1, train_images=2, test_images=1)
    picture = min((tmp_path / "data" / "Training").rglob("*.jpg"))
    before = dataset.listing("train", str(tmp_path / "data"), "Training")
    again = dataset.listing("train", str(tmp_path / "data"), "Training")
    content = bytearray(picture.read_bytes())
    content[-3] ^= 1
    picture.write_bytes(content)
    after = dataset.listing("train", str(tmp_path / "data"), "Training")
    assert after.digest() == before.digest()
    places = [cache.folder_of(found, recipe(), "/cache") for found in (before, again, after)]
    assert places[0] == places[1] != places[2]


@pytest.mark.parametrize("more", [{"max_bytes": 5}, {"mask": False}])
def test_what_decides_which_pictures_are_used_has_a_place_of_its_own(more):
    assert cache.folder_of(ONE, recipe(**more), "/cache") != cache.folder_of(ONE, recipe(), "/cache")


def test_another_descriptor_has_a_place_of_its_own():
    assert len({cache.folder_of(ONE, recipe(name), "/cache") for name in ("sift", "orb")}) == 2


def test_another_version_of_the_library_has_a_place_of_its_own(monkeypatch):
    before = cache.folder_of(ONE, recipe(), "/cache")
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99")
    assert cache.folder_of(ONE, recipe(), "/cache") != before


@pytest.fixture
def pictures(tmp_path: Path) -> Images:
    for number in range(6):
        path = tmp_path / "data" / "Training" / "AB"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample_picture(number % 2, number))
    return dataset.listing("train", str(tmp_path / "data"), "Training")


def described(spark, pictures: Images, place: Path):
    frame = dataset.frame(spark, pictures, 2, 123, 2)
    return cache.described(extractor(recipe("sift")), pictures, frame, recipe("sift"), str(place))


def test_two_runs_that_both_found_nothing_do_not_disturb_each_other(
    spark, pictures: Images, tmp_path: Path, monkeypatch
):
    place = tmp_path / "my cache é"
    first = described(spark, pictures, place)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "whole_attempt", lambda _: None)  # it looked before the first one was whole
        second = described(spark, pictures, place)
    assert first.count() == second.count() == 6
    assert {row["reason"] for row in first.collect()} == {None}
    assert len(list(place.glob("*/*/_SUCCESS"))) == 2
    assert described(spark, pictures, place).count() == 6
    assert len(list(place.glob("*/*/_SUCCESS"))) == 2


def test_a_fault_that_may_pass_is_not_kept(spark, pictures: Images, tmp_path: Path):
    gone = Path(pictures.root) / pictures.table["ima"][0].as_py()
    content = gone.read_bytes()
    gone.unlink()
    found = described(spark, pictures, tmp_path / "cache")
    assert sorted(str(row["reason"]) for row in found.collect()) == ["None"] * 5 + ["unreadable"]
    assert not (tmp_path / "cache").exists()
    gone.write_bytes(content)
    again = described(spark, pictures, tmp_path / "cache")
    assert {row["reason"] for row in again.collect()} == {None}
