import itertools
import os

import cv2
import numpy as np
import pytest

from job.vision import pixels, sample, textures
from job.vision.descriptors import get
from job.vision.picture import Picture
from job.vision.sample import NAMED, sample_picture, style, write_sample


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_picture_is_a_jpeg_of_100_by_100_in_colour_on_white():
    for category in range(len(NAMED)):
        data = sample_picture(category, 0)
        colour = pixels.decode_colour(data)
        assert data.startswith(b"\xff\xd8\xff")
        assert colour.shape == (100, 100, 3)
        corners = colour[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.min() > 235
        assert 0.15 < (colour.min(axis=2) < 200).mean() < 0.85


def test_the_same_arguments_give_the_same_bytes():
    wanted = list(itertools.product(range(6), range(3), ("train", "test")))
    once = [sample_picture(category, picture, 5, split) for category, picture, split in wanted]
    sample._skin.cache_clear()
    again = [sample_picture(category, picture, 5, split) for category, picture, split in reversed(wanted)]
    assert once == again[::-1]
    assert len(set(once)) == len(once)


def test_another_seed_gives_other_pictures():
    assert sample_picture(0, 0, seed=1) != sample_picture(0, 0, seed=2)


def test_the_threads_of_opencv_change_nothing():
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        once = sample_picture(3, 4)
        cv2.setNumThreads(4)
        sample._skin.cache_clear()
        assert sample_picture(3, 4) == once
    finally:
        cv2.setNumThreads(before)


def test_there_are_at_least_twelve_named_fruits_of_every_pattern():
    assert len(NAMED) >= 12
    assert {style.kind for style in NAMED} == set(textures.PATTERNS) == set(sample.SKINS)


def test_any_number_of_categories_has_names_of_its_own():
    names = [style(category).name for category in range(300)]
    assert len({name.lower() for name in names}) == 300
    assert all(name.replace(" ", "").isalnum() for name in names)


def test_a_negative_category_is_refused():
    with pytest.raises(ValueError, match="no category -1"):
        sample_picture(-1, 0)


def test_every_category_has_enough_keypoints_for_sift():
    """Named ones and one round of the generated ones: median 30-90, none below 5."""
    describe = get("sift").describe
    for category in range(len(NAMED) + 13):
        counts = [len(describe(Picture.decode(sample_picture(category, picture)))) for picture in range(12)]
        assert 30 <= np.median(counts) <= 90, sample.style(category).name
        assert min(counts) >= 5, sample.style(category).name


@pytest.mark.parametrize("name", ["rootsift", "orb", "surf"])
def test_no_picture_is_without_descriptors_of_another_kind(name):
    for category in range(len(NAMED)):
        assert len(get(name).describe(Picture.decode(sample_picture(category, 0)))) >= 10


def test_textures_tell_the_categories_apart_without_colour():
    """Nearest mean histogram over 40 SIFT words: far above chance (1 in 8), and for the first eight fruits not poor."""
    categories, words = 8, 40
    described = {
        split: [
            [
                get("sift").describe(Picture.decode(sample_picture(category, picture, split=split))).astype(np.float32)
                for picture in range(10)
            ]
            for category in range(categories)
        ]
        for split in ("train", "test")
    }
    pool = np.vstack([rows for group in described["train"] for rows in group])
    centres = pool[np.random.default_rng(0).choice(len(pool), words, replace=False)]
    for _ in range(6):
        nearest = (pool @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
        centres = np.array(
            [pool[nearest == word].mean(axis=0) if (nearest == word).any() else centres[word] for word in range(words)]
        )

    def histogram(rows):
        found = np.bincount((rows @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1), minlength=words)
        return np.sqrt(found / found.sum())

    means = np.array([np.mean([histogram(rows) for rows in group], axis=0) for group in described["train"]])
    right = [
        np.argmin(((means - histogram(rows)) ** 2).sum(axis=1)) == category
        for category, group in enumerate(described["test"])
        for rows in group
    ]
    assert np.mean(right) > 0.7


def test_a_sample_is_written_as_a_tree_of_splits_and_categories(tmp_path):
    written = write_sample(tmp_path, categories=3, train_images=8, test_images=4, seed=9)
    assert written == (12, 0)
    tree = files(tmp_path)
    assert sorted(tree) == [
        *(f"Test/{name}" for name in ("Corn/0_100.jpg", "Corn/1_100.jpg", "Orange/0_100.jpg", "Raspberry/0_100.jpg")),
        *(f"Training/Corn/{i}_100.jpg" for i in range(3)),
        *(f"Training/Orange/{i}_100.jpg" for i in range(3)),
        *(f"Training/Raspberry/{i}_100.jpg" for i in range(2)),
    ]
    assert tree["Test/Orange/0_100.jpg"] == sample_picture(1, 0, 9, "test")
    assert tree["Training/Orange/2_100.jpg"] == sample_picture(1, 2, 9, "train")


def test_a_smaller_sample_is_part_of_a_larger_one(tmp_path):
    write_sample(tmp_path / "small", categories=2, train_images=4, test_images=2)
    write_sample(tmp_path / "large", categories=4, train_images=12, test_images=8)
    assert files(tmp_path / "small").items() <= files(tmp_path / "large").items()


def test_what_is_there_already_stays_and_what_is_damaged_is_replaced(tmp_path):
    write_sample(tmp_path, 2, 4, 2)
    whole = files(tmp_path)
    damaged, good = tmp_path / "Training/Corn/0_100.jpg", tmp_path / "Training/Corn/1_100.jpg"
    damaged.write_bytes(damaged.read_bytes()[:50])
    os.utime(good, (1, 1))
    assert write_sample(tmp_path, 2, 4, 2) == (1, 5)
    assert files(tmp_path) == whole
    assert good.stat().st_mtime == 1


def test_a_write_that_fails_leaves_the_old_file_and_no_part_of_a_new_one(tmp_path, monkeypatch):
    target = tmp_path / "Training/Corn/0_100.jpg"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")

    def full(self, _data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_sample(tmp_path, 1, 1, 0)
    assert files(tmp_path) == {"Training/Corn/0_100.jpg": b"old"}


def test_progress_is_told_after_each_picture(tmp_path):
    seen = []
    write_sample(tmp_path, 2, 2, 2, progress=seen.append)
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"categories": 0}, "0 categories"),
        ({"categories": 3, "train_images": 2}, "2 training pictures don't go round 3 categories"),
        ({"categories": 3, "test_images": 2}, "2 test pictures"),
        ({"train_images": 0}, "0 training"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused_before_anything_is_written(tmp_path, numbers, words):
    with pytest.raises(ValueError, match=words):
        write_sample(tmp_path, **numbers)
    assert not files(tmp_path)
