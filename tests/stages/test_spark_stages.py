"""Each stage on a small frame, against what numpy says of the same rows."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F
from pyspark.testing import assertDataFrameEqual

from job.errors import UserError
from job.experiment import extract
from job.learn import kmeans, sampling, sketch
from job.stages import (
    CategoryClassifier,
    CategoryIndexer,
    DescriptorExtractor,
    PrincipalComponents,
    VisualVocabulary,
    VisualVocabularyModel,
    parts,
    vocabulary,
)
from job.vision import descriptors as registry
from job.vision.picture import Picture
from job.vision.sample import sample_picture

NAMES = ["Corn", "Orange", "Raspberry"]
PICTURES = 24


def rows(frame) -> list[dict]:
    return frame.toArrow().sort_by("ima").to_pylist()


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return {f"{NAMES[number % 3]}/{number:02}.jpg": sample_picture(number % 3, number) for number in range(PICTURES)}


@pytest.fixture(scope="module")
def pictures(spark, contents):
    """`ima, cat, content`."""
    table = pa.table(
        {
            "ima": list(contents),
            "cat": [name.split("/")[0] for name in contents],
            "content": pa.array(list(contents.values()), pa.binary()),
        }
    )
    return spark.createDataFrame(table).repartition(3).persist()


@pytest.fixture(scope="module")
def described(pictures):
    """`ima, cat, descriptors, keypoints, reason` by SIFT."""
    return DescriptorExtractor().transform(pictures).persist()


@pytest.fixture(scope="module")
def bags(described):
    return VisualVocabulary(k=10).fit(described).transform(described).select("ima", "cat", "bag").persist()


# ---- descriptors


@pytest.mark.parametrize("name", ["sift", "rootsift", "orb", "surf"])
def test_packed_descriptors_are_those_of_the_picture(name, pictures, contents):
    spec = registry.get(name)
    found = rows(DescriptorExtractor(descriptor=name).transform(pictures))
    assert list(found[0]) == ["ima", "cat", "descriptors", "keypoints", "reason"]
    assert [row["ima"] for row in found] == sorted(contents)
    for row in found[::5]:
        expected = spec.describe(Picture.decode(contents[row["ima"]]))
        assert row["descriptors"] == expected.tobytes()
        assert row["keypoints"] == len(expected) > 0
        assert row["reason"] is None


def test_pictures_are_read_from_where_their_root_is(spark, contents, tmp_path: Path):
    for name in sorted(contents)[:4]:
        (tmp_path / "a b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a b" / name).write_bytes(contents[name])
    table = pa.table({"root": [str(tmp_path / "a b")] * 5, "ima": [*sorted(contents)[:4], "Corn/none.jpg"]})
    found = {row["ima"]: row for row in rows(DescriptorExtractor().transform(spark.createDataFrame(table)))}
    for name in sorted(contents)[:4]:
        assert found[name]["descriptors"] == registry.get("sift").describe(Picture.decode(contents[name])).tobytes()
    assert found["Corn/none.jpg"] == {
        "ima": "Corn/none.jpg",
        "descriptors": b"",
        "keypoints": 0,
        "reason": "unreadable",
    }


def test_pictures_of_several_roots_may_be_in_one_partition(spark, contents, tmp_path: Path):
    one, other = sorted(contents)[:2]
    for folder, name in (("a", one), ("b", other)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes(contents[name])
    table = pa.table({"root": [str(tmp_path / "a"), str(tmp_path / "b")], "ima": ["x.jpg"] * 2, "n": [0, 1]})
    found = DescriptorExtractor().transform(spark.createDataFrame(table).coalesce(1)).toArrow().to_pylist()
    for row in found:
        expected = registry.get("sift").describe(Picture.decode(contents[(one, other)[row["n"]]]))
        assert row["descriptors"] == expected.tobytes()


def test_pictures_that_can_not_be_described_keep_their_row_and_their_reason(spark, contents):
    good = next(iter(contents.values()))
    bad = {
        "a": (b"", "empty"),
        "b": (good[:2000], "truncated"),
        "c": (b"text", "not_an_image"),
        "d": (good, None),
        "e": (good + b"\0" * 50_000, "too_large"),
    }
    table = pa.table({"ima": list(bad), "content": pa.array([content for content, _ in bad.values()], pa.binary())})
    found = rows(DescriptorExtractor(maxBytes=40_000).transform(spark.createDataFrame(table)))
    assert {row["ima"]: row["reason"] for row in found} == {name: reason for name, (_, reason) in bad.items()}
    assert all((row["keypoints"] == 0) == (row["descriptors"] == b"") == (row["reason"] is not None) for row in found)


def test_an_empty_frame_stays_empty(spark, pictures, described):
    nothing = pictures.limit(0)
    assert rows(DescriptorExtractor().transform(nothing)) == []
    model = VisualVocabulary(k=5).fit(described)
    assert rows(model.transform(described.limit(0))) == []


# ---- words


def all_descriptors(described) -> np.ndarray:
    return np.concatenate([np.frombuffer(row["descriptors"], np.uint8).reshape(-1, 128) for row in rows(described)])


@pytest.mark.parametrize("size", [300, -1])
def test_partitions_and_order_do_not_change_the_words_by_a_bit(size, described):
    found = [
        VisualVocabulary(k=12, sampleSize=size).fit(frame).vocabulary for frame in (described, described.repartition(7))
    ]
    assert len({(one.words.tobytes(), one.inertia, one.iterations, one.descriptors) for one in found}) == 1


def test_as_many_descriptors_are_drawn_as_are_wanted(described):
    total = len(all_descriptors(described))
    assert total > 600
    assert [
        VisualVocabulary(k=5, sampleSize=size).fit(described).vocabulary.descriptors for size in (300, total + 5, 0)
    ] == [300, total, total]


@pytest.mark.parametrize("size", [200, -1])
def test_words_from_what_was_drawn_with_the_counts_are_those_of_a_draw_of_its_own(size, described):
    total = len(all_descriptors(described))
    draw = sampling.Draw.of(size if size > 0 else 2 * total, 3, 123, np.dtype(np.uint8), 128)
    found = extract.summary(described, {"sift": "descriptors"}, {"sift": draw})
    assert (found.described, found.rows, found.rejected.num_rows) == (PICTURES, {"sift": total}, 0)
    estimator = VisualVocabulary(k=12, sampleSize=size)
    drawn, own = estimator.fit_drawn(found.drawn["sift"]).vocabulary, estimator.fit(described).vocabulary
    assert drawn.words.tobytes() == own.words.tobytes()
    assert (drawn.inertia, drawn.iterations, drawn.descriptors) == (own.inertia, own.iterations, own.descriptors)


def test_another_seed_draws_others(described):
    words = [VisualVocabulary(k=5, sampleSize=300, seed=seed).fit(described).words for seed in (1, 2)]
    assert words[0].tobytes() != words[1].tobytes()


def test_bags_count_the_nearest_words_of_each_picture(described):
    model = VisualVocabulary(k=10).fit(described)
    found = rows(model.nearest_words(model.transform(described)))
    words = model.words.astype(np.float64)
    for row in found:
        values = np.frombuffer(row["descriptors"], np.uint8).reshape(-1, 128).astype(np.float64)
        nearest = np.square(values[:, None] - words[None]).sum(axis=2).argmin(axis=1)
        assert row["words"] == nearest.tolist()
        assert row["bag"] == np.bincount(nearest, minlength=10).tolist()


@pytest.mark.parametrize("name", ["sift", "orb"])
def test_a_vocabulary_of_all_that_does_not_fit_in_one_place_is_refined_on_the_executors(name, pictures, monkeypatch):
    described = DescriptorExtractor(descriptor=name).transform(pictures).persist()
    monkeypatch.setattr(sampling, "_LEAST", 200)
    monkeypatch.setattr(sampling, "_PER_WORD", 10)
    asked = {"k": 12, "descriptor": name, "tolerance": 0.005}
    start = VisualVocabulary(**asked).fit(described).vocabulary
    monkeypatch.setattr(vocabulary, "ONE_PLACE", 250)
    frames = (described, described.repartition(5)) if name == "sift" else (described,)
    found = [VisualVocabulary(**asked, sampleSize=-1).fit(frame).vocabulary for frame in frames]
    assert len({(one.words.tobytes(), one.inertia, one.iterations) for one in found}) == 1
    refined = found[0]
    spec = registry.get(name)
    values = spec.unpack(b"".join(row["descriptors"] for row in rows(described)))
    assert start.descriptors == 200
    assert refined.descriptors == len(values) > 250
    assert refined.iterations > start.iterations
    before = kmeans.inertia_of(kmeans.cluster_sums(values, start.words), start.words)
    after = kmeans.inertia_of(kmeans.cluster_sums(values, refined.words), refined.words)
    assert refined.inertia == after < before
    np.testing.assert_array_equal(refined.words, np.rint(refined.words / spec.quantum) * spec.quantum)


@pytest.mark.parametrize("k", [12, 100])
def test_from_random_words_until_none_moves_executors_end_where_one_place_ends(k, described, monkeypatch):
    asked = {"k": k, "initMode": "random", "tolerance": 0.0, "sampleSize": -1}
    expected = VisualVocabulary(**asked).fit(described).vocabulary
    monkeypatch.setattr(vocabulary, "ONE_PLACE", 250)
    found = VisualVocabulary(**asked).fit(described.repartition(5)).vocabulary
    assert found.words.tobytes() == expected.words.tobytes()
    assert (found.inertia, found.descriptors) == (expected.inertia, expected.descriptors)


@pytest.mark.parametrize("encoding", ["tf-idf", "hellinger", "vlad"])
def test_encodings_of_such_words_learn_them_of_all_descriptors_too(encoding, described, monkeypatch):
    asked = {"k": 12, "encoding": encoding, "initMode": "random", "tolerance": 0.0, "sampleSize": -1}
    expected = VisualVocabulary(**asked).fit(described).codebook
    monkeypatch.setattr(vocabulary, "ONE_PLACE", 250)
    found = VisualVocabulary(**asked).fit(described.repartition(5)).codebook
    assert found.facts["descriptors"] == expected.facts["descriptors"] > 250
    assert set(found.arrays) == set(expected.arrays)
    for name, values in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], values)


def test_a_vocabulary_of_no_descriptors_is_refused_in_a_sentence(described):
    with pytest.raises(ValueError, match="no descriptors"):
        VisualVocabulary(k=5).fit(described.limit(0))


def test_a_missing_column_is_named_before_any_job_runs(described, pictures):
    with pytest.raises(ValueError, match="'descriptors' is missing: the frame has ima, cat, content"):
        VisualVocabulary().fit(pictures)
    with pytest.raises(ValueError, match="'root' is missing"):
        DescriptorExtractor().transform(described.select("ima"))
    with pytest.raises(ValueError, match="'bag' is missing"):
        PrincipalComponents().fit(described)
    with pytest.raises(ValueError, match="'features' is missing"):
        CategoryClassifier(categories=NAMES).fit(described)


# ---- components, labels, categories


def test_components_are_fitted_to_the_frame_as_to_its_rows(bags):
    model = PrincipalComponents(k=6).fit(bags.repartition(4))
    matrix = np.array([row["bag"] for row in rows(bags)], np.int32)
    peer = PrincipalComponents(k=6).fit_arrays(matrix)
    assert model.projection.axes.tobytes() == peer.projection.axes.tobytes()
    features = np.array([row["features"]["values"] for row in rows(model.transform(bags))])
    np.testing.assert_allclose(features, peer.transform_arrays(matrix), atol=1e-9)


def test_large_sums_are_added_up_by_the_executors_and_are_the_same(bags, monkeypatch):
    frame = bags.repartition(5)
    expected = PrincipalComponents(k=5).fit(frame).projection
    monkeypatch.setattr(parts, "MOST_BYTES", 0)
    found = PrincipalComponents(k=5).fit(frame).projection
    assert found.axes.tobytes() == expected.axes.tobytes()


@pytest.mark.parametrize("kind", ["lda", "rda"])
def test_a_classifier_of_large_sums_is_that_of_small_ones(kind, bags, monkeypatch):
    frame = (
        CategoryIndexer(categories=NAMES).transform(PrincipalComponents(k=6).fit(bags).transform(bags)).repartition(5)
    )
    estimator = CategoryClassifier(kind=kind, categories=NAMES, calibrated=True)
    expected = estimator.fit(frame).trained.arrays
    monkeypatch.setattr(parts, "MOST_BYTES", 0)
    found = estimator.fit(frame).trained.arrays
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-12)


def test_a_classifier_of_features_that_are_folded_is_that_of_their_rows(spark, monkeypatch):
    width, random = sketch.MOST_WIDTH + 500, np.random.default_rng(2)
    labels = np.arange(60) % len(NAMES)
    features = random.normal(size=(60, width)) + 0.5 * random.normal(size=(len(NAMES), width))[labels]
    frame = spark.createDataFrame(
        [
            (f"{n:02}.jpg", row.tolist(), float(label))
            for n, (row, label) in enumerate(zip(features, labels, strict=True))
        ],
        "ima string, features array<double>, label double",
    ).repartition(4)
    monkeypatch.setattr(parts, "MOST_SHUFFLED", 0)  # as few tasks as there are cores
    estimator = CategoryClassifier(kind="lda", categories=NAMES)
    found = estimator.fit(frame).trained.arrays
    peer = estimator.fit_arrays(features, labels).trained.arrays
    assert found["coefficients"].shape == (len(NAMES), width)
    assert found.keys() == peer.keys()
    for name, array in peer.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-9)


def test_distances_are_those_of_pictures_without_their_changed_copies_on_a_frame_as_on_its_rows(bags):
    indexer = CategoryIndexer(categories=NAMES)
    frame = indexer.transform(PrincipalComponents(k=6).fit(bags).transform(bags)).drop("bag").persist()
    copied = frame.withColumn("copy", F.lit(0)).union(frame.withColumn("copy", F.lit(1)))
    estimator = CategoryClassifier(kind="lda", categories=NAMES, calibrated=True)
    found, plain = (estimator.fit(each).trained.arrays for each in (copied.repartition(3), frame))
    ordered = rows(frame)
    features = np.array([row["features"]["values"] for row in ordered])
    labels = np.array([int(row["label"]) for row in ordered])
    peer = estimator.fit_arrays(
        np.vstack([features, features + 5]),
        np.tile(labels, 2),
        names=[row["ima"] for row in ordered] * 2,
        copies=np.repeat([False, True], len(labels)),
    ).trained.arrays
    for name in ("whitening", "centres", "held_distances"):
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-6, atol=1e-9)
    # other copies are another classifier, but its distances are those of the same pictures
    assert len(peer["held_distances"]) == len(plain["held_distances"])
    assert peer["held_distances"].max() < 3 * plain["held_distances"].max()


def test_a_second_look_at_a_frame_finds_what_one_at_its_rows_does(bags):
    frame = CategoryIndexer(categories=NAMES).transform(PrincipalComponents(k=6).fit(bags).transform(bags))
    frame = frame.drop("bag").withColumn("weight", F.col("label") + 0.5).persist()
    estimator = CategoryClassifier(kind="rda", categories=NAMES, calibrated=True)
    found = estimator.copy({estimator.weightCol: "weight"}).fit(frame.repartition(4)).trained.arrays
    ordered = rows(frame)
    peer = estimator.fit_arrays(
        np.array([row["features"]["values"] for row in ordered]),
        np.array([int(row["label"]) for row in ordered]),
        names=[row["ima"] for row in ordered],
        weights=np.array([row["weight"] for row in ordered]),
    ).trained.arrays
    assert {"factors", "temperature", "held_distances"} < found.keys() == peer.keys()
    for name, array in peer.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-9)


def test_components_of_no_rows_are_refused_in_a_sentence(bags):
    with pytest.raises(ValueError, match="There are no rows in 'bag'"):
        PrincipalComponents(k=5).fit(bags.limit(0))


def test_labels_are_places_in_the_alphabet_and_null_for_unknown_categories(spark):
    pairs = [("1", "Pêche, b"), ("2", "Apple"), ("3", "Kiwi"), ("4", None)]
    frame = spark.createDataFrame(pairs, "ima string, cat string")
    found = CategoryIndexer(categories=["Apple", "Pêche, b"]).transform(frame)
    labelled = [(*pair, label) for pair, label in zip(pairs, (1.0, 0.0, None, None), strict=True)]
    expected = spark.createDataFrame(labelled, "ima string, cat string, label double")
    assertDataFrameEqual(found, expected)


def test_new_pictures_need_no_category(bags):
    frame = bags.select("ima", "bag")
    assert CategoryIndexer(categories=NAMES).transform(frame).columns == ["ima", "bag"]


@pytest.mark.parametrize("kind", ["mlp", "logistic"])
def test_a_classifier_is_trained_on_the_frame_as_on_its_rows(kind, bags):
    indexer = CategoryIndexer(categories=NAMES)
    frame = indexer.transform(PrincipalComponents(k=6).fit(bags).transform(bags)).persist()
    estimator = CategoryClassifier(kind=kind, categories=NAMES)
    model, moved = estimator.fit(frame), estimator.fit(frame.repartition(5))
    ordered = rows(frame)
    peer = estimator.fit_arrays(
        np.array([row["features"]["values"] for row in ordered]), np.array([int(row["label"]) for row in ordered])
    )
    for name, weights in model.trained.arrays.items():
        assert weights.tobytes() == moved.trained.arrays[name].tobytes() == peer.trained.arrays[name].tobytes()
    for row in rows(model.transform(frame)):
        assert row["predicted_cat"] == NAMES[int(row["prediction"])]
        chances = row["probability"]["values"]
        assert sum(chances) == pytest.approx(1.0)
        assert chances.index(max(chances)) == int(row["prediction"])


# ---- stored


@pytest.fixture(scope="module")
def fitted(pictures) -> PipelineModel:
    return Pipeline(
        stages=[
            DescriptorExtractor(),
            VisualVocabulary(k=10),
            PrincipalComponents(k=6),
            CategoryIndexer(categories=NAMES),
            CategoryClassifier(categories=NAMES, kind="logistic"),
        ]
    ).fit(pictures)


def test_stages_make_a_pipeline_that_is_stored_and_predicts_the_same(fitted, pictures, tmp_path: Path):
    fitted.write().overwrite().save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    assert [type(stage) for stage in loaded.stages] == [type(stage) for stage in fitted.stages]
    for stage, other in zip(fitted.stages, loaded.stages, strict=True):
        assert stage.extractParamMap() == other.extractParamMap()
    columns = ("ima", "cat", "label", "prediction", "predicted_cat", "probability")
    expected, found = (model.transform(pictures).select(*columns) for model in (fitted, loaded))
    assert rows(expected) == rows(found)


def test_a_loaded_vocabulary_is_the_same_to_the_last_bit(fitted, tmp_path: Path):
    model = fitted.stages[1]
    model.save(str(tmp_path / "words"))
    loaded = VisualVocabularyModel.load(str(tmp_path / "words"))
    assert loaded.words.tobytes() == model.words.tobytes()
    assert (loaded.vocabulary.inertia, loaded.vocabulary.iterations, loaded.vocabulary.descriptors) == (
        model.vocabulary.inertia,
        model.vocabulary.iterations,
        model.vocabulary.descriptors,
    )


def test_what_is_stored_is_json_and_arrays_without_pickle(fitted, tmp_path: Path):
    fitted.write().overwrite().save(str(tmp_path / "model"))
    stored = (tmp_path / "model").rglob("*")
    files = [path for path in stored if path.is_file() and not path.name.startswith((".", "_"))]
    assert {path.suffix for path in files} <= {".npz", ".txt", ""}
    for path in files:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(array.dtype != object for array in arrays.values())
        else:
            assert json.loads(path.read_text(encoding="utf-8"))["class"]


def test_unfitted_stages_are_stored_as_well(tmp_path: Path):
    for number, stage in enumerate(
        (
            DescriptorExtractor(descriptor="orb"),
            VisualVocabulary(k=7),
            PrincipalComponents(k=3),
            CategoryIndexer(categories=NAMES),
            CategoryClassifier(kind="logistic"),
        )
    ):
        path = str(tmp_path / str(number))
        stage.save(path)
        loaded = type(stage).load(path)
        assert loaded.uid == stage.uid
        assert loaded.extractParamMap() == stage.extractParamMap()


def test_a_stored_stage_is_not_overwritten_unless_that_is_asked_for(fitted, tmp_path: Path):
    model = fitted.stages[1]
    path = tmp_path / "words"
    model.save(str(path))
    with pytest.raises(UserError, match=r"already exists: .*overwrite"):
        model.save(str(path))
    VisualVocabulary(k=7).write().overwrite().save(str(path))
    assert VisualVocabulary.load(str(path)).getOrDefault("k") == 7
    assert not (path / "data").exists()
