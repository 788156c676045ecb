"""What a saved model answers for new pictures, in any form in which they are given."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import stored as kept

from job import Model, Prediction, load_model, storage
from job.errors import UserError
from job.learn import unknown
from job.learn.classifiers import lda
from job.learn.moments import moments
from job.vision import pixels

PATHS = [kept.V1 / f"{number}.jpg" for number in range(3)]
CATEGORIES = ("Corn", "Orange", "Raspberry")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(kept.V1)


def encoded(picture: np.ndarray, kind: str = ".png") -> bytes:
    return cv2.imencode(kind, picture)[1].tobytes()


# ---- forms of a picture


def test_one_picture_gives_one_prediction(model: Model):
    found = model.predict(PATHS[0].read_bytes())
    assert isinstance(found, Prediction)
    assert (found.category, found.status, found.label) == ("Corn", "ok", 0)
    assert found.top[0] == ("Corn", found.probability)
    assert sorted(name for name, _ in found.top) == list(CATEGORIES)
    assert sum(chance for _, chance in found.top) == pytest.approx(1)
    with pytest.raises(AttributeError):
        found.category = "Orange"


def test_bytes_buffers_and_addresses_of_a_picture_give_the_same(model: Model):
    path = PATHS[1]
    data = path.read_bytes()
    forms = [data, bytearray(data), memoryview(data), path, str(path), f"file://{path}"]
    assert [model.predict(form) for form in forms] == [model.predict(data)] * len(forms)
    expected = model.probabilities([data] * len(forms))
    np.testing.assert_array_equal(model.probabilities(forms), expected)


def test_a_list_gives_a_list_and_the_order_is_kept(model: Model):
    assert [found.category for found in model.predict([path.read_bytes() for path in PATHS[::-1]])] == [
        *CATEGORIES[::-1]
    ]
    assert [found.category for found in model.predict(tuple(map(str, PATHS)))] == [*CATEGORIES]
    assert model.predict([]) == []
    assert model.probabilities([]).shape == (0, 3)
    assert model.features([]).shape == (0, 4)


def test_an_array_is_red_first(model: Model):
    for path, category in zip(PATHS, CATEGORIES, strict=True):
        blue_first = pixels.decode_colour(path.read_bytes())
        assert model.predict(np.ascontiguousarray(blue_first[..., ::-1])).category == category
        assert model.predict(blue_first[..., ::-1]).category == category


def test_a_grey_array_is_what_a_grey_file_is(model: Model):
    grey = pixels.decode(PATHS[2].read_bytes())
    np.testing.assert_allclose(model.probabilities([grey]), model.probabilities([encoded(grey)]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["float64", "int32", "bool", "uint16"])
def test_an_array_of_another_type_is_refused(model: Model, kind: str):
    with pytest.raises(ValueError, match=rf"A picture is a uint8 array .*, not {kind} of shape \(9, 9, 3\)\."):
        model.predict(np.zeros((9, 9, 3), kind))


@pytest.mark.parametrize("shape", [(9,), (9, 9, 4), (9, 9, 1), (2, 9, 9, 3), (0, 9), (0, 0, 3)])
def test_an_array_of_another_shape_is_refused(model: Model, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="A picture is a uint8 array of shape"):
        model.predict(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("picture", [None, 7, {"a": 1}])
def test_what_is_no_picture_is_refused(model: Model, picture: object):
    with pytest.raises(ValueError, match="A picture is bytes, the address of a file or an array"):
        model.predict(picture)


@pytest.mark.parametrize("picture", [b"x", "x", Path("x"), np.zeros((9, 9), np.uint8)])
def test_a_single_picture_where_a_list_is_wanted_is_refused(model: Model, picture: object):
    for ask in (model.probabilities, model.features):
        with pytest.raises(ValueError, match="put it in a list"):
            ask(picture)


# ---- how many categories are named


def test_as_many_categories_are_named_as_were_asked_for(model: Model):
    data = PATHS[0].read_bytes()
    whole = model.predict(data).top
    assert [chance for _, chance in whole] == sorted((chance for _, chance in whole), reverse=True)
    assert model.predict(data, top_k=1).top == whole[:1]
    assert model.predict(data, 100).top == whole
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"top_k is {count}"):
            model.predict(data, count)


# ---- pictures of something else


def test_below_a_probability_the_status_is_unknown_and_the_guesses_stay(model: Model):
    sure = model.predict(PATHS[0])
    found = model.predict(PATHS[0], reject_below=1.0)
    assert found == Prediction(None, sure.probability, sure.top, "unknown", None)
    assert found.described
    assert found.reason == "No category is probable enough, or the picture is too far from all of them."
    assert model.predict([PATHS[0]], reject_below=sure.probability) == [sure]
    for least in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"reject_below is {least}"):
            model.predict(PATHS[0], reject_below=least)


@pytest.fixture(scope="module")
def knowing(model: Model, tmp_path_factory) -> Model:
    """A model of the classifier lda, whose held-out pictures are at distances from 0 to 3."""
    random = np.random.default_rng(4)
    labels = np.repeat(np.arange(3), 50)
    rows = model.features(PATHS)[labels] + random.normal(0, 0.02, (150, 4))
    found = moments(rows, labels, 3)
    trained = lda.LDA.with_distances(lda.from_moments(found), found.counts, found.means)
    arrays = {**trained.arrays, "held_distances": unknown.quantiles(np.linspace(0, 3, 100))}
    return load_model(kept.with_lda(tmp_path_factory.mktemp("knowing"), arrays))


def test_a_picture_far_from_all_categories_is_unknown_and_the_guesses_stay(knowing: Model):
    assert knowing.knows_unknown
    known = [knowing.predict(path, reject_unknown=0.05) for path in PATHS]
    assert [found.category for found in known] == [*CATEGORIES]
    blue = np.zeros((100, 100, 3), np.uint8)
    blue[30:70, 20:80] = (20, 40, 250)
    sure = knowing.predict(blue)
    assert sure.status == "ok"
    found = knowing.predict([blue, b"", PATHS[0]], reject_unknown=0.05)
    assert [each.status for each in found] == ["unknown", "empty", "ok"]
    assert found[0] == Prediction(None, sure.probability, sure.top, "unknown", None)
    assert {found.status for found in knowing.predict(PATHS, reject_unknown=1.0)} == {"unknown"}
    assert knowing.predict(blue, reject_unknown=0.05, reject_below=0.1).status == "unknown"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_there_can_not_be_is_refused(knowing: Model, share: float):
    with pytest.raises(ValueError, match=f"reject_unknown is {share}"):
        knowing.predict(PATHS[0], reject_unknown=share)


def test_a_model_that_does_not_know_distances_says_so_and_answers_without(model: Model):
    assert not model.knows_unknown
    with pytest.raises(UserError, match="does not know how far a picture is from its categories"):
        model.predict(PATHS[0], reject_unknown=0.05)
    assert model.predict(PATHS[0], reject_unknown=0.0).status == "ok"


# ---- pictures that can't be described


def spoilt() -> dict[str, bytes]:
    good = PATHS[0].read_bytes()
    frame = good.find(b"\xff\xc0")
    return {
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "not_an_image": b"This is not a picture.",
        "no_descriptors": encoded(np.full((50, 50, 3), 255, np.uint8)),
        "too_large": good[: frame + 5] + (20_000).to_bytes(2) * 2 + good[frame + 9 :],
    }


@pytest.mark.parametrize("reason", sorted(spoilt()))
def test_a_picture_that_can_not_be_described_is_told_its_reason(model: Model, reason: str, tmp_path: Path):
    data = spoilt()[reason]
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    for form in (data, path):
        found = model.predict(form, reject_below=0.5)
        assert found == Prediction(None, None, (), reason, None)
        assert not found.described
        assert found.reason


def test_a_picture_that_can_be_used_has_no_reason(model: Model):
    assert model.predict(PATHS[0]).reason is None


def test_what_a_reader_could_not_read_keeps_its_reason(model: Model):
    found = model.predict([PATHS[0].read_bytes(), storage.Fault("too_large")])
    assert [each.status for each in found] == ["ok", "too_large"]


def test_a_model_says_what_it_is_made_of(model: Model):
    assert model.digest == kept.content()["sha256"]
    assert model.max_bytes == kept.content()["picture"]["max_bytes"]


def test_a_file_that_is_not_there_is_unreadable(model: Model, tmp_path: Path):
    assert model.predict(tmp_path / "nowhere.jpg").status == "unreadable"
    assert model.predict(tmp_path).status == "unreadable"


def test_a_flat_array_has_no_descriptors(model: Model):
    assert model.predict(np.full((50, 50, 3), 255, np.uint8)).status == "no_descriptors"


def test_files_larger_than_the_model_allows_are_not_read(tmp_path: Path):
    size = PATHS[0].stat().st_size
    model = load_model(kept.remade(tmp_path, lambda found: found["picture"].update(max_bytes=size)))
    assert [found.status for found in model.predict(PATHS)] == ["ok", "too_large", "too_large"]
    assert [found.status for found in model.predict([path.read_bytes() for path in PATHS])][1:] == ["too_large"] * 2


def test_bad_pictures_among_good_ones_are_rows_of_nan_and_change_nothing(model: Model):
    good = [path.read_bytes() for path in PATHS]
    mixed = [good[0], b"", good[1], b"no", good[2]]
    found = model.predict(mixed)
    assert [each.status for each in found] == ["ok", "empty", "ok", "not_an_image", "ok"]
    for ask in (model.probabilities, model.features):
        rows = ask(mixed)
        np.testing.assert_allclose(rows[::2], ask(good), rtol=0, atol=1e-12)
        assert np.isnan(rows[1::2]).all()
    assert np.isnan(model.probabilities([b""])).all()


# ---- many pictures


def test_a_picture_does_not_depend_on_those_beside_it(model: Model):
    good = [path.read_bytes() for path in PATHS]
    alone = np.concatenate([model.probabilities([data]) for data in good])
    many = model.probabilities(good * 100)
    assert many.shape == (300, 3)
    np.testing.assert_allclose(many, np.tile(alone, (100, 1)), rtol=0, atol=1e-12)


def test_several_threads_may_ask_one_model(model: Model):
    good = [path.read_bytes() for path in PATHS]
    expected = [model.predict(data).category for data in good] * 20
    with ThreadPoolExecutor(4) as pool:
        assert [found.category for found in pool.map(model.predict, good * 20)] == expected


# ---- models with fewer or other parts


def test_a_model_without_a_classifier_gives_features_alone(tmp_path: Path, model: Model):
    bare = load_model(kept.remade(tmp_path, lambda found: found.update(classifier=None)))
    np.testing.assert_array_equal(bare.features(PATHS), model.features(PATHS))
    for ask in (bare.predict, bare.probabilities):
        with pytest.raises(UserError, match=r"has no classifier, since its run was made with --no-classify.*\."):
            ask([PATHS[0]])


def test_a_model_without_scaling_or_components_has_its_blocks_side_by_side(tmp_path: Path):
    plain = load_model(
        kept.remade(tmp_path, lambda found: found.update(scaling=None, components=None, classifier=None))
    )
    found = plain.features(PATHS)
    assert found.shape == (3, 16)
    assert found.dtype == np.float64
    # both blocks count descriptors
    np.testing.assert_array_equal(found, np.rint(found))
    assert (found[:, :8].sum(axis=1) > 5).all()
    assert (found[:, 8:].sum(axis=1) > 5).all()


def test_a_block_that_learns_nothing_has_no_arrays(tmp_path: Path):
    def change(found: dict) -> None:
        found.update(scaling=None, components=None, classifier=None)
        found["blocks"] = [{"descriptor": "lbp", "encoding": "none", "arrays": None}, found["blocks"][0]]

    found = load_model(kept.remade(tmp_path, change)).features(PATHS)
    assert found.shape == (3, 40 + 8)
    assert np.isfinite(found).all()


def test_expected_answers_are_stored_for_each_picture():
    expected = json.loads((kept.V1 / "expected.json").read_bytes())
    assert [answer["picture"] for answer in expected] == [path.name for path in PATHS]
    assert [answer["category"] for answer in expected] == [*CATEGORIES]
