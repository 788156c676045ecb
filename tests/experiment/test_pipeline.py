"""Whole runs: what they leave, and that it depends on pictures, settings and seed alone."""

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from running import Answer, Results, Shared, results

from job.experiment import extract, fit, rounds
from job.report import tables
from job.stages import classifier
from job.vision import descriptors as registry
from job.vision import pixels
from job.vision.picture import Picture
from job.vision.sample import sample_picture

CATEGORIES = ["Corn", "Orange", "Raspberry"]
WORDS, COMPONENTS = 30, 21
SPLITS = {"train": 60, "test": 30}
ALWAYS = {
    "manifest.json",
    "timings.csv",
    "task_analysis.csv",
    "rejected.csv",
    "data_issues.csv",
    "report.html",
    *(f"{table}_{split}.csv" for table in ("bag_of_words", "df_lab_features") for split in SPLITS),
}
CLASSIFIED = {"predictions.csv", "confusion_matrix.csv", "categories.csv"}
OPERATIONS = {
    "start_spark",
    "read_images",
    "extract_descriptors",
    "fit_vocabulary",
    "assign_words",
    "bag_of_words",
    "reduce_dimensions",
    "find_issues",
    "export",
    "total",
}

SECRET = "spark.hadoop.fs.s3a.secret.key"

Runner = Callable[..., Results]


@pytest.fixture(scope="module")
def answer_and_results(shared: Shared, sample: Path, tmp_path_factory: pytest.TempPathFactory):
    def work(*arguments: object, data: Path | None = sample, cores: int | None = None) -> tuple[Answer, Results]:
        out = tmp_path_factory.mktemp("run") / "out"
        address = ("--data", data) if data else ()
        answer = shared("run", *address, "--out", out, "--words", WORDS, *arguments, cores=cores)
        assert answer.code == 0, answer.err
        assert answer.err == ""
        return answer, results(out)

    return work


@pytest.fixture(scope="module")
def run(answer_and_results) -> Runner:
    """Runs the command on the sample, to its end; what it left."""
    return lambda *arguments, **more: answer_and_results(*arguments, **more)[1]


@pytest.fixture(scope="module")
def said_and_reference(answer_and_results) -> tuple[Answer, Results]:
    """The prototype's algorithm on 3 partitions."""
    return answer_and_results(
        "--preset",
        "reference",
        "--min-partitions",
        3,
        "--export-intermediate",
        "--run-name",
        "first",
        "--conf",
        f"{SECRET}=hush",
        "--verbose",
        cores=1,
    )


@pytest.fixture(scope="module")
def said(said_and_reference) -> Answer:
    return said_and_reference[0]


@pytest.fixture(scope="module")
def reference(said_and_reference) -> Results:
    return said_and_reference[1]


# ---- complete


def model_files(found: Results) -> set[str]:
    return {name for name in found.files() if name.startswith("model/")}


def test_the_folder_holds_every_file_of_the_design(reference: Results):
    others = {name for name in reference.files() if name.startswith(("model/", "intermediate/"))}
    assert reference.files() - others == ALWAYS | CLASSIFIED
    assert any(name.startswith("model/") for name in others)


def test_the_manifest_lists_every_file_with_its_size_and_digest(reference: Results):
    listed = {file["path"]: file for file in reference.manifest["files"]}
    assert set(listed) == reference.files() - {"manifest.json"}
    for path, file in listed.items():
        content = (reference.folder / path).read_bytes()
        assert file == {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_manifest_is_written_last(reference: Results):
    written = {name: (reference.folder / name).stat().st_mtime_ns for name in reference.files()}
    assert max(written.values()) == written["manifest.json"]


def test_the_manifest_tells_what_was_read(reference: Results):
    found = reference.manifest
    assert found["schema_version"] == 1
    assert found["run_name"] == reference.folder.name == "first"
    for split, pictures in SPLITS.items():
        part = found["dataset"][split]
        assert part["images"] == part["described"] == pictures
        assert part["without_descriptors"] == part["rejected"] == 0
        assert part["categories"] == dict.fromkeys(CATEGORIES, pictures // 3)
        assert part["descriptors"] == reference.matrix(f"bag_of_words_{split}.csv").sum()
        assert part["descriptor_bytes"] == 128 * part["descriptors"]
        assert len(part["listing_sha256"]) == 64


def test_the_manifest_tells_what_was_made_of_it(reference: Results):
    found = reference.manifest
    assert found["dimensions"] == {"bag_of_words": [60, 2 + WORDS], "features": [60, 1 + COMPONENTS]}
    assert found["vocabulary"]["words"] == WORDS
    assert found["vocabulary"]["inertia"] > 0
    assert 1 < found["vocabulary"]["iterations"] < 2000
    assert found["partitions"]["extract_descriptors"] == 3
    assert 0 <= found["accuracy"] <= 1
    assert {"fruits", "python", "java", "pyspark", "numpy", "opencv"} <= set(found["versions"])
    settings = found["settings"]
    assert (settings["preset"], settings["descriptor"], settings["classifier"]) == ("reference", "sift", "mlp")
    assert (settings["words"], settings["components"], settings["seed"]) == (WORDS, COMPONENTS, 123)


def test_the_manifest_and_the_timings_have_the_seconds_of_each_operation(reference: Results):
    seconds = reference.manifest["seconds"]
    assert set(seconds) == OPERATIONS | {"fit_classifier", "evaluate"}
    split = {name for name, value in seconds.items() if isinstance(value, dict)}
    assert split == {"read_images", "extract_descriptors", "assign_words", "bag_of_words", "reduce_dimensions"}
    assert all(set(seconds[name]) == {"train", "test"} for name in split)
    flat = [
        (name, part, value)
        for name, values in seconds.items()
        for part, value in (values.items() if name in split else [(None, values)])
    ]
    rows = reference.rows("timings.csv")
    assert reference.columns("timings.csv") == ["operation", "split", "seconds", "tasks", "partitions"]
    assert len(rows) == len(flat)
    for name, part, value in flat:
        (row,) = (row for row in rows if row["operation"] == name and part in (None, row["split"]))
        assert float(row["seconds"]) == pytest.approx(value, abs=1e-4)
    assert sum(value for name, _, value in flat if name != "total") <= seconds["total"]


def test_timings_tell_of_tasks_only_where_spark_did_the_work(reference: Results):
    rows = {(row["operation"], row["split"]): row for row in reference.rows("timings.csv")}
    for split in SPLITS:
        assert rows["extract_descriptors", split]["partitions"] == "3"
        assert rows["extract_descriptors", split]["tasks"] == "3"
        assert rows["read_images", split]["tasks"] == rows["read_images", split]["partitions"] == ""
    assert rows["total", "all"]["tasks"] == ""


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_tables_of_pictures_have_their_columns_and_a_row_a_picture(split, reference: Results, sample: Path):
    folder = {"train": "Training", "test": "Test"}[split]
    pictures = sorted(path.relative_to(sample).as_posix() for path in (sample / folder).rglob("*.jpg"))
    wide = {
        "bag_of_words": ["ima", "cat", *map(str, range(WORDS))],
        "df_lab_features": ["ima", "cat", "label", *map(str, range(COMPONENTS))],
    }
    for table, columns in wide.items():
        assert reference.columns(f"{table}_{split}.csv") == columns
        rows = reference.rows(f"{table}_{split}.csv")
        assert [row["ima"] for row in rows] == pictures
        assert [row["cat"] for row in rows] == [name.split("/")[1] for name in pictures]
    labels = [float(row["label"]) for row in reference.rows(f"df_lab_features_{split}.csv")]
    assert labels == [CATEGORIES.index(name.split("/")[1]) for name in pictures]


def test_predictions_agree_with_the_matrix_the_scores_and_the_accuracy(reference: Results):
    assert reference.columns("predictions.csv") == ["ima", "cat", "label", "prediction", "predicted_cat", "probability"]
    rows = reference.rows("predictions.csv")
    assert len(rows) == 30
    for row in rows:
        assert CATEGORIES[int(float(row["label"]))] == row["cat"]
        assert CATEGORIES[int(float(row["prediction"]))] == row["predicted_cat"]
        assert 1 / 3 <= float(row["probability"]) <= 1
    pairs = [(row["cat"], row["predicted_cat"]) for row in rows]
    assert reference.manifest["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / 30)
    assert reference.columns("confusion_matrix.csv") == ["cat", *CATEGORIES]
    for row in reference.rows("confusion_matrix.csv"):
        assert {cat: int(row[cat]) for cat in CATEGORIES} == {cat: pairs.count((row["cat"], cat)) for cat in CATEGORIES}
    assert reference.columns("categories.csv") == ["cat", "precision", "recall", "f1", "support"]
    for row in reference.rows("categories.csv"):
        assert int(row["support"]) == 10
        assert float(row["recall"]) == pytest.approx(pairs.count((row["cat"], row["cat"])) / 10)


def test_three_fruits_are_told_apart(reference: Results):
    assert reference.manifest["accuracy"] >= 0.95


def test_the_report_is_one_page_with_pictures(reference: Results):
    page = (reference.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/") > 12
    assert "keypoints" in page
    for category in CATEGORIES:
        assert category in page


def test_words_come_from_the_training_pictures_alone_and_components_too(reference: Results):
    bags = reference.matrix("bag_of_words_train.csv")
    features = reference.matrix("df_lab_features_train.csv")
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-9)
    axes, *_ = np.linalg.lstsq(bags - bags.mean(axis=0), features, rcond=None)
    test = (reference.matrix("bag_of_words_test.csv") - bags.mean(axis=0)) @ axes
    np.testing.assert_allclose(reference.matrix("df_lab_features_test.csv"), test, atol=1e-6)


def test_bags_are_those_that_the_pictures_themselves_give(reference: Results, sample: Path):
    spec = registry.get("sift")
    words = reference.words.astype(np.float64)
    for row in reference.rows("bag_of_words_test.csv")[::7]:
        picture = Picture.decode((sample / row["ima"]).read_bytes())
        rows = spec.unpack(spec.describe(picture)).astype(np.float64)
        nearest = np.square(rows[:, None] - words[None]).sum(axis=2).argmin(axis=1)
        expected = np.bincount(nearest, minlength=WORDS)
        assert [int(row[str(word)]) for word in range(WORDS)] == expected.tolist()


# ---- intermediate tables


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_intermediate_tables_can_be_opened_and_agree_with_the_bags(split, reference: Results):
    tables = {
        name: pd.read_parquet(reference.folder / "intermediate" / f"{name}_{split}").sort_values("ima")
        for name in ("images", "descriptors", "words")
    }
    bags = reference.rows(f"bag_of_words_{split}.csv")
    for table in tables.values():
        assert table["ima"].tolist() == [row["ima"] for row in bags]
        assert table["cat"].tolist() == [row["cat"] for row in bags]
    counted = np.array([np.bincount(words, minlength=WORDS) for words in tables["words"]["words"]])
    np.testing.assert_array_equal(counted, reference.matrix(f"bag_of_words_{split}.csv"))
    lengths = [len(packed) // 128 for packed in tables["descriptors"]["descriptors"]]
    assert lengths == tables["images"]["keypoints"].tolist() == [len(words) for words in tables["words"]["words"]]
    assert tables["images"]["reason"].isna().all()
    assert sum(lengths) == reference.manifest["dataset"][split]["descriptors"]


# ---- partitions


@pytest.fixture(scope="module")
def seventeen(run: Runner) -> Results:
    return run("--preset", "reference", "--min-partitions", 17, cores=1)


def test_seventeen_partitions_were_seventeen(reference: Results, seventeen: Results):
    assert [found.manifest["partitions"]["extract_descriptors"] for found in (reference, seventeen)] == [3, 17]


def test_partitions_do_not_change_the_vocabulary_by_a_bit(reference: Results, seventeen: Results):
    assert reference.words.shape == (WORDS, 128)
    assert reference.words.tobytes() == seventeen.words.tobytes()
    assert reference.manifest["vocabulary"] == seventeen.manifest["vocabulary"]


@pytest.mark.parametrize(
    "name", [f"{table}_{split}.csv" for table in ("bag_of_words", "df_lab_features") for split in SPLITS]
)
def test_partitions_change_neither_bags_nor_labels_nor_features(name, reference: Results, seventeen: Results):
    texts = [
        [{key: value for key, value in row.items() if not key.isdigit()} for row in found.rows(name)]
        for found in (reference, seventeen)
    ]
    assert texts[0] == texts[1]
    np.testing.assert_allclose(reference.matrix(name), seventeen.matrix(name), rtol=0, atol=1e-6)


def same_predictions(one: Results, other: Results) -> None:
    first, second = one.rows("predictions.csv"), other.rows("predictions.csv")
    for column in ("ima", "cat", "label", "prediction", "predicted_cat"):
        assert [row[column] for row in first] == [row[column] for row in second]
    np.testing.assert_allclose(
        [float(row["probability"]) for row in first], [float(row["probability"]) for row in second], rtol=0, atol=1e-6
    )
    assert one.manifest["accuracy"] == other.manifest["accuracy"]


def test_a_draw_of_its_own_gives_the_same_words(reference: Results, run: Runner, monkeypatch):
    monkeypatch.setattr(extract, "MANY", 1)
    apart = run("--preset", "reference")
    tasks = [
        int(next(row["tasks"] for row in found.rows("task_analysis.csv") if row["operation"] == "fit_vocabulary"))
        for found in (reference, apart)
    ]
    assert tasks == [0, apart.manifest["partitions"]["extract_descriptors"]]
    assert reference.words.tobytes() == apart.words.tobytes()


def test_partitions_do_not_change_predictions(reference: Results, seventeen: Results):
    same_predictions(reference, seventeen)


# ---- large tables


def test_tables_too_large_for_the_driver_are_parquet_of_the_same_content(reference: Results, run: Runner, monkeypatch):
    monkeypatch.setattr(fit, "MOST_CELLS", 0)
    large = run("--preset", "reference", "--min-partitions", 3, cores=1)
    assert large.words.tobytes() == reference.words.tobytes()
    for split in SPLITS:
        for table, column in (("bag_of_words", "bag"), ("df_lab_features", "features")):
            name = f"{table}_{split}"
            assert f"{name}.csv" not in large.files()
            found = pd.read_parquet(large.folder / name).sort_values("ima")
            assert found["ima"].tolist() == [row["ima"] for row in reference.rows(f"{name}.csv")]
            np.testing.assert_allclose(np.stack(found[column]), reference.matrix(f"{name}.csv"), rtol=0, atol=1e-6)
            assert any(file["path"].startswith(f"{name}/part-") for file in large.manifest["files"])
    same_predictions(reference, large)


def test_a_network_learns_of_rows_that_stay_on_the_executors_what_it_learns_in_the_driver(run: Runner, monkeypatch):
    alone = run("--classifier", "logistic")
    monkeypatch.setattr(fit, "MOST_CELLS", 0)
    monkeypatch.setattr(classifier, "_IN_DRIVER", 0)
    same_predictions(alone, run("--classifier", "logistic", cores=1))


# ---- descriptors, and without a classifier


@pytest.mark.parametrize("name", ["orb", "surf", "rootsift"])  # sift is the reference's
def test_each_descriptor_runs_to_the_end(name, run: Runner):
    found = run("--descriptor", name)
    assert found.files() - model_files(found) == ALWAYS | CLASSIFIED
    assert found.manifest["settings"]["descriptor"] == name
    assert found.manifest["accuracy"] >= 0.8
    assert found.words.shape == (WORDS, registry.get(name).width)
    for split, part in found.manifest["dataset"].items():
        assert part["images"] == part["described"] == SPLITS[split]
        assert part["descriptor_bytes"] == part["descriptors"] * registry.get(name).bytes


def test_without_a_classifier_one_category_is_enough_and_it_stops_after_the_features(run: Runner, sample: Path):
    found = run(
        "--preset",
        "sift",
        "--train",
        sample / "Training",
        "--test",
        sample / "Test",
        "--categories",
        "Corn",
        "--train-images",
        7,
        "--test-images",
        3,
        "--no-classify",
        data=None,
    )
    assert found.files() - model_files(found) == ALWAYS
    assert "accuracy" not in found.manifest
    assert set(found.manifest["seconds"]) == OPERATIONS
    assert not any("Classifier" in name for name in model_files(found))
    assert found.manifest["dataset"]["train"]["categories"] == {"Corn": 7}
    assert found.manifest["dimensions"]["features"] == [7, 1 + COMPONENTS]
    rows = found.rows("df_lab_features_test.csv")
    assert [(row["ima"].split("/")[0], row["cat"], float(row["label"])) for row in rows] == [("Corn", "Corn", 0.0)] * 3


# ---- the cache


def test_descriptors_of_the_cache_are_used_for_other_words_and_pictures_are_not_read_again(
    run: Runner, sample: Path, tmp_path: Path, monkeypatch
):
    data, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(sample, data)
    first = run("--preset", "sift", "--cache", cache, data=data)
    kept = {path: path.read_bytes() for path in cache.rglob("*.parquet")}
    assert kept
    for picture in data.rglob("*.jpg"):  # the same names, sizes and times, and nothing in them
        before = picture.stat()
        picture.write_bytes(b"\0" * before.st_size)
        os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    # the report shows the worst mistakes: a picture that is none any more must not end the run
    monkeypatch.setattr(tables, "worst_mistakes", lambda predictions, n: predictions.slice(0, n))
    fewer = run("--preset", "sift", "--cache", cache, "--words", 10, data=data)
    assert fewer.manifest["dataset"]["train"] == first.manifest["dataset"]["train"]
    assert fewer.words.shape == (10, 128)
    assert {path: path.read_bytes() for path in cache.rglob("*.parquet")} == kept


# ---- bad pictures


def spoil(folder: Path) -> dict[str, str | None]:
    """Puts pictures among the good ones: their names and the reason with which each is to be listed, None for none."""
    import cv2

    good = sample_picture(0, 900)
    corn = folder / "Training" / "Corn"
    white = np.full((100, 100, 3), 255, np.uint8)
    png = cv2.imencode(".png", pixels.decode_colour(sample_picture(0, 901)))[1].tobytes()
    frame = good.find(b"\xff\xc0")
    huge = good[: frame + 5] + (20_000).to_bytes(2) * 2 + good[frame + 9 :]
    pictures: dict[str, tuple[bytes, str | None]] = {
        "empty.jpg": (b"", "empty"),
        "truncated.jpg": (good[: len(good) // 2], "truncated"),
        "text.jpg": (b"This is not a picture.\n" * 40, "not_an_image"),
        "really a.png.jpg": (png, None),
        "white.jpg": (cv2.imencode(".jpg", white)[1].tobytes(), "no_descriptors"),
        "huge.jpg": (huge, "too_large"),
        "é à, ñ 🍎 (1).jpg": (sample_picture(0, 902), None),
    }
    for name, (content, _) in pictures.items():
        (corn / name).write_bytes(content)
    (corn / "nowhere.jpg").symlink_to(folder / "nothing.jpg")
    return {
        **{f"Training/Corn/{name}": reason for name, (_, reason) in pictures.items()},
        "Training/Corn/nowhere.jpg": "unreadable",
    }


def test_each_picture_is_used_or_listed_with_its_reason(run: Runner, sample: Path, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(sample, data)
    pictures = spoil(data)
    found = run("--preset", "sift", "--min-partitions", 7, data=data)
    assert found.columns("rejected.csv") == ["path", "reason"]
    listed = {row["path"]: row["reason"] for row in found.rows("rejected.csv")}
    assert listed == {name: reason for name, reason in pictures.items() if reason}
    used = {row["ima"] for row in found.rows("bag_of_words_train.csv")}
    assert len(used) == 62
    assert {name for name, reason in pictures.items() if reason is None} < used
    train = found.manifest["dataset"]["train"]
    assert train["images"] == train["described"] + train["without_descriptors"] + train["rejected"] == 68
    assert (train["described"], train["without_descriptors"], train["rejected"]) == (62, 1, 5)
    assert train["categories"] == {"Corn": 28, "Orange": 20, "Raspberry": 20}
    assert found.manifest["dimensions"]["bag_of_words"] == [62, 2 + WORDS]


def failing(shared: Shared, out: Path, *arguments: object) -> str:
    """The sentence with which a run fails that leaves nothing."""
    answer: Answer = shared("run", "--out", out, *arguments)
    assert answer.code in (1, 2)
    assert not list(out.iterdir()) if out.exists() else True
    return answer.sentence()


def test_categories_may_have_the_names_of_columns(run: Runner, sample: Path, tmp_path: Path):
    names = dict(zip(CATEGORIES, ("cat", "ima", "prediction"), strict=True))
    data = tmp_path / "data"
    for split in ("Training", "Test"):
        for old, new in names.items():
            shutil.copytree(sample / split / old, data / split / new)
    found = run("--preset", "fast", data=data)
    matrix = pd.read_csv(found.folder / "confusion_matrix.csv", header=None)
    assert matrix.iloc[0].tolist() == ["cat", *sorted(names.values())]
    assert {row["predicted_cat"] for row in found.rows("predictions.csv")} == set(names.values())


def test_too_many_bad_pictures_end_the_run(shared: Shared, sample: Path, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(sample, data)
    spoil(data)
    sentence = failing(shared, tmp_path / "out", "--data", data, "--words", 30, "--max-bad-fraction", "0.05")
    for part in ("5 of 68", "--max-bad-fraction 0.05", "Training/Corn/empty.jpg", "empty"):
        assert part in sentence


def test_pictures_without_any_descriptor_end_the_run(shared: Shared, sample: Path, tmp_path: Path):
    import cv2

    data = tmp_path / "data"
    white = cv2.imencode(".jpg", np.full((100, 100, 3), 255, np.uint8))[1].tobytes()
    for folder, category, number in itertools.product(("Training", "Test"), "AB", range(2)):
        (data / folder / category).mkdir(parents=True, exist_ok=True)
        (data / folder / category / f"{number}.jpg").write_bytes(white)
    assert "--descriptor" in failing(shared, tmp_path / "out", "--data", data, "--preset", "sift")


# ---- vocabulary and pictures that don't go together


def test_more_words_than_descriptors_end_the_run(shared: Shared, sample: Path, tmp_path: Path):
    more = ("--preset", "sift", "--words", 50_000, "--train-images", 3)
    sentence = failing(shared, tmp_path / "out", "--data", sample, *more)
    assert "--words 50000" in sentence
    assert "descriptors" in sentence


def test_more_words_than_different_descriptors_end_the_run(shared: Shared, sample: Path, tmp_path: Path):
    data = tmp_path / "data"
    for folder, category, number in itertools.product(("Training", "Test"), (0, 1), range(4)):
        picture = data / folder / f"C{category}" / f"{number}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(sample_picture(category, 0))
    sentence = failing(shared, tmp_path / "out", "--data", data, "--preset", "sift", "--words", 300)
    assert "--words 300" in sentence
    assert "distinct" in sentence


# ---- what is said


def test_a_run_says_what_it_does_line_by_line(said: Answer, reference: Results):
    assert all(line.startswith("event=") for line in said.out.splitlines())
    steps = [line.split(" ")[1].removeprefix("operation=") for line in said.events("step")]
    assert list(dict.fromkeys(steps)) == [
        "read_images",
        "start_spark",
        "extract_descriptors",
        "fit_vocabulary",
        "assign_words",
        "bag_of_words",
        "reduce_dimensions",
        "fit_classifier",
        "evaluate",
        "find_issues",
    ]
    assert len(said.events("category ")) == 6
    timed = [line.split(" ")[1].removeprefix("operation=") for line in said.events("timing")]
    assert set(timed) == OPERATIONS | {"fit_classifier", "evaluate"}
    (done,) = said.events("done")
    assert f"out={reference.folder}" in done
    assert "accuracy=" in done


def test_secrets_are_neither_said_nor_stored(said: Answer, reference: Results):
    assert "hush" not in said.out
    assert reference.manifest["settings"]["conf"] == [f"{SECRET}=***"]
    for name in reference.files():
        assert b"hush" not in (reference.folder / name).read_bytes()


def test_an_interrupted_run_leaves_nothing(shared: Shared, sample: Path, tmp_path: Path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        assert list((tmp_path / "out").iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(rounds, "fit", interrupt)
    answer = shared(
        "run", "--data", sample, "--out", tmp_path / "out", "--words", 10, "--train-images", 6, "--test-images", 3
    )
    assert answer.code == 130
    assert "Interrupted" in answer.sentence()
    assert not list((tmp_path / "out").iterdir())


def test_the_settings_of_a_manifest_make_the_same_run_again(reference: Results, tmp_path: Path):
    from job.experiment.choices import choices
    from job.settings import Settings, resolve

    kept = {name: value for name, value in reference.manifest["settings"].items() if value not in (None, [], False)}
    path = tmp_path / "again.toml"
    path.write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in kept.items()), encoding="utf-8")
    again: Settings = resolve({"config": str(path)}, {}, choices=choices())
    assert again.public() == reference.manifest["settings"]


def test_what_one_task_makes_of_pictures_is_bounded(run: Runner, monkeypatch: pytest.MonkeyPatch):
    few = run("--features", "hsv", "--min-partitions", 6, "--no-classify", cores=1)
    assert few.manifest["partitions"]["assign_words"] == 1
    monkeypatch.setattr(fit, "_BYTES_A_TASK", 1 << 14)
    more = run("--features", "hsv", "--min-partitions", 6, "--no-classify", cores=1)
    assert more.manifest["partitions"]["assign_words"] == 6
    assert more.rows("bag_of_words_train.csv") == few.rows("bag_of_words_train.csv")
