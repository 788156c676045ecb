import numpy as np
import pytest

from job.learn import videos


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("Training/Lemon/12_100.jpg", ("", 12)),
        ("Lemon/r_3_100.jpg", ("r_", 3)),
        ("r2_310_100.jpeg", ("r2_", 310)),
        ("Lemon/IMG_0412.jpg", None),
        ("12_100/apple.jpg", None),
        ("Lemon/12.jpg", None),
    ],
)
def test_names_of_fruits_360_tell_video_and_number(name, frame):
    assert videos.frame(name) == frame


def walk(pictures, step, seed=1):
    """Signatures that go a step from one to the next, in a space as wide as 40 steps."""
    random = np.random.default_rng(seed)
    angle = np.arange(pictures)[:, None] * 2 * np.pi / pictures
    turn = np.hstack([np.sin(angle), np.cos(angle)]) * 10
    return (turn + random.normal(size=(pictures, 2)) * step).astype(np.float32)


def test_frames_of_a_turning_thing_are_alike_and_pictures_of_their_own_are_not():
    labels = np.repeat([0, 1], 120)
    turning = np.vstack([walk(120, 0.05), walk(120, 0.05, seed=2) + 3])
    assert videos.alike(turning, labels, 2)
    alone = np.random.default_rng(1).normal(size=(240, 48)).astype(np.float32)
    assert not videos.alike(alone, labels, 2)


def test_few_or_equal_pictures_say_nothing():
    assert not videos.alike(walk(10, 0.05), np.zeros(10, np.int64), 1)
    assert not videos.alike(np.zeros((50, 4), np.float32), np.zeros(50, np.int64), 1)


def test_frames_are_shared_by_category_and_video():
    known, labels = ["a/1_100.jpg", "b/r_1_100.jpg"], np.array([0, 1])
    names = ["a/2_100.jpg", "a/r_2_100.jpg", "b/r_9_100.jpg", "b/x.jpg"]
    assert videos.shared(names, np.array([0, 0, 1, 1]), known, labels) == 2
