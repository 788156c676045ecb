"""`fruits predict --data`: a saved model on all pictures below an address, and what it leaves."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from running import QUICK, Answer, Results, Shared, clean_environment

from job import Model, dataset, load_model, storage
from job.errors import UserError
from job.experiment import batch
from job.model import batch as parts
from job.model.batch import BatchPrediction
from job.model.predict import Rejection
from job.storage.pack import pack
from job.vision.sample import sample_picture, write_sample

V1 = Path(__file__).parents[1] / "model" / "data" / "v1"
MODEL = V1 / "model"
COLUMNS = ["ima", "prediction", "predicted_cat", "probability", "second_cat", "second_probability", "status"]
WHOLE = {"manifest.json", "predictions.csv", "rejected.csv"}
SCORED = {"confusion_matrix.csv", "categories.csv", "mistakes.csv", "report.html"}
MISTAKES = ["ima", "cat", "predicted_cat", "probability"]
BAD = {"empty": b"", "not_an_image": b"This is not a picture.", "truncated": sample_picture(0, 7)[:2000]}


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(MODEL)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without folders: twelve pictures, and three that can't be used."""
    folder = tmp_path_factory.mktemp("flat")
    for number in range(12):
        (folder / f"{number:02d}.jpg").write_bytes(sample_picture(number % 3, 700 + number, split="test"))
    for reason, data in BAD.items():
        (folder / f"{reason}.jpg").write_bytes(data)
    return folder


@pytest.fixture
def predict(shared: Shared, tmp_path: Path) -> Callable[..., tuple[Answer, Results]]:
    def work(data: Path, *arguments: object, name: str = "one", code: int = 0) -> tuple[Answer, Results]:
        out = tmp_path / "out"
        given = ("predict", "--model", MODEL, "--data", data, "--out", out, "--run-name", name, *arguments)
        answer = shared(*given)
        assert answer.code == code, answer.err
        return answer, Results(out / name)

    return work


def test_a_tree_is_predicted_as_by_the_model_alone_and_scored_by_its_folders(predict, sample: Path, model: Model):
    answer, found = predict(sample)
    assert answer.err == ""
    assert found.files() == WHOLE | SCORED
    rows = found.rows("predictions.csv")
    assert found.columns("predictions.csv") == COLUMNS
    names = sorted(path.relative_to(sample).as_posix() for path in sample.rglob("*.jpg"))
    assert [row["ima"] for row in rows] == names
    for row, expected in zip(rows, model.predict([sample / name for name in names], top_k=2), strict=True):
        first, second = expected.top
        assert (row["predicted_cat"], row["second_cat"], row["status"]) == (first[0], second[0], "ok")
        assert int(row["prediction"]) == expected.label
        assert float(row["probability"]) == pytest.approx(first[1], abs=1e-6)
        assert float(row["second_probability"]) == pytest.approx(second[1], abs=1e-6)
    right = np.mean([row["ima"].split("/")[-2] == row["predicted_cat"] for row in rows])
    manifest = found.manifest
    assert manifest["accuracy"] == pytest.approx(right)
    wrong = sum(row["ima"].split("/")[-2] != row["predicted_cat"] for row in rows)
    labelled = {"pictures": 90, "answered": 90, "categories": 3, "mistakes": wrong}
    assert manifest["labelled"] == labelled | {"category_accuracy": manifest["labelled"]["category_accuracy"]}
    assert manifest["model"] | {"digest": model.digest, "categories": 3} == manifest["model"]
    images = dataset.listing("all", str(sample), loose=True)
    assert manifest["dataset"] | {"images": 90, "described": 90, "rejected": 0} == manifest["dataset"]
    assert manifest["dataset"]["listing_sha256"] == images.digest()
    assert sum(manifest["predicted"].values()) == 90
    assert {file["path"] for file in manifest["files"]} == (WHOLE | SCORED) - {"manifest.json"}
    assert [row["cat"] for row in found.rows("categories.csv")] == [*model.categories]
    confused = found.rows("confusion_matrix.csv")
    assert sum(int(row[name]) for row in confused for name in model.categories) == 90


def test_a_flat_folder_has_no_score_and_pictures_that_can_not_be_used_are_listed(predict, flat: Path, model: Model):
    _, found = predict(flat)
    assert found.files() == WHOLE
    rows = {row["ima"]: row for row in found.rows("predictions.csv")}
    assert len(rows) == 15
    for reason in BAD:
        row = rows[f"{reason}.jpg"]
        assert row == {"ima": f"{reason}.jpg", **dict.fromkeys(COLUMNS[1:-1], ""), "status": reason}
    expected = sorted(({"path": f"{reason}.jpg", "reason": reason} for reason in BAD), key=lambda row: row["path"])
    assert found.rows("rejected.csv") == expected
    assert rows["00.jpg"]["predicted_cat"] == model.predict(flat / "00.jpg").category
    counts = {"images": 15, "described": 12, "unknown": 0, "without_descriptors": 0, "rejected": 3}
    assert found.manifest["dataset"] | counts == found.manifest["dataset"]
    assert not {"accuracy", "labelled"} & set(found.manifest)


def test_packed_pictures_give_the_same_table(predict, sample: Path, tmp_path: Path):
    pack(str(sample), str(tmp_path / "packed"))
    plain, packed = predict(sample)[1], predict(tmp_path / "packed", name="packed")[1]
    assert packed.rows("predictions.csv") == plain.rows("predictions.csv")
    assert packed.manifest["accuracy"] == plain.manifest["accuracy"]


def test_the_table_does_not_depend_on_partitions(predict, sample: Path):
    first, second = predict(sample, "--partitions", 1)[1], predict(sample, "--partitions", 7, name="seven")[1]
    assert second.manifest["partitions"] == {"predict": 7}
    for one, other in zip(first.rows("predictions.csv"), second.rows("predictions.csv"), strict=True):
        assert (one["ima"], one["predicted_cat"]) == (other["ima"], other["predicted_cat"])
        assert float(one["probability"]) == pytest.approx(float(other["probability"]), abs=1e-6)
    assert first.columns("mistakes.csv") == second.columns("mistakes.csv") == MISTAKES


def test_below_the_probability_that_was_asked_for_a_picture_is_unknown(predict, sample: Path, model: Model):
    _, found = predict(sample, "--reject-below", "0.97")
    rows = found.rows("predictions.csv")
    chances = model.probabilities([sample / row["ima"] for row in rows]).max(axis=1)
    unknown = [row for row in rows if row["status"] == "unknown"]
    assert len(unknown) == (chances < 0.97).sum()
    assert 0 < len(unknown) < 90
    for row in unknown:
        assert float(row["probability"]) < 0.97
        assert {row[name] for name in ("prediction", "predicted_cat", "second_cat", "second_probability")} == {""}
    assert found.manifest["dataset"]["unknown"] == len(unknown)
    assert found.manifest["labelled"]["answered"] == 90 - len(unknown)
    assert found.rows("rejected.csv") == []


def test_folders_that_are_no_category_are_not_scored(predict, sample: Path, tmp_path: Path):
    for source, target in (("Corn", "Corn"), ("Orange", "Tangerine")):
        shutil.copytree(sample / "Test" / source, tmp_path / "data" / target)
    _, found = predict(tmp_path / "data")
    assert found.manifest["labelled"]["categories"] == 1
    assert found.manifest["labelled"]["pictures"] == len(list((sample / "Test" / "Corn").iterdir()))


def test_when_no_picture_can_be_used_the_exit_code_is_1_and_the_folder_says_why(predict, tmp_path: Path):
    (tmp_path / "data").mkdir()
    for reason, data in BAD.items():
        (tmp_path / "data" / f"{reason}.jpg").write_bytes(data)
    answer, found = predict(tmp_path / "data", code=1)
    assert answer.sentence() == "Not one of the pictures could be used: see rejected.csv."
    assert len(found.rows("rejected.csv")) == 3
    assert found.manifest["predicted"] == {}


def test_a_table_too_large_for_one_file_is_a_folder_of_parquet(predict, sample: Path, monkeypatch: pytest.MonkeyPatch):
    whole = predict(sample)[1].rows("predictions.csv")
    monkeypatch.setattr(batch, "MOST_CELLS", 100)
    _, found = predict(sample, "--partitions", 4, name="large")
    table = parquet.read_table(found.folder / "predictions").sort_by("ima")
    assert table.schema.equals(parts.SCHEMA)
    assert table["ima"].to_pylist() == [row["ima"] for row in whole]
    assert table["predicted_cat"].to_pylist() == [row["predicted_cat"] for row in whole]
    listed = {file["path"] for file in found.manifest["files"]}
    assert len([path for path in listed if path.startswith("predictions/part-")]) == 4
    assert found.files() == listed | {"manifest.json"}


# ---- what pictures in the folders of categories get as well


@pytest.fixture
def mislabelled(sample: Path, tmp_path: Path) -> Path:
    """Ten oranges of which the folder says that they are corn, ten that are what it says, and one that is none."""
    for cat, first in (("Corn", 0), ("Orange", 10)):
        (tmp_path / "data" / cat).mkdir(parents=True)
        for source in sorted((sample / "Training" / "Orange").iterdir())[first : first + 10]:
            shutil.copy(source, tmp_path / "data" / cat)
    (tmp_path / "data" / "Corn" / "broken.jpg").write_bytes(BAD["not_an_image"])
    return tmp_path / "data"


def test_mistakes_are_listed_the_surest_first(predict, mislabelled: Path):
    _, found = predict(mislabelled)
    rows = [row for row in found.rows("predictions.csv") if row["status"] == "ok"]
    wrong = [row for row in rows if row["ima"].split("/")[0] != row["predicted_cat"]]
    assert len(wrong) >= 10
    wrong.sort(key=lambda row: (-float(row["probability"]), row["ima"]))
    expected = [{**{name: row.get(name, "") for name in MISTAKES}, "cat": row["ima"].split("/")[0]} for row in wrong]
    assert found.columns("mistakes.csv") == MISTAKES
    assert found.rows("mistakes.csv") == expected
    assert found.manifest["labelled"]["mistakes"] == len(wrong)
    assert found.manifest["accuracy"] == pytest.approx(1 - len(wrong) / 20)
    assert found.manifest["labelled"]["category_accuracy"]["mean"] == pytest.approx(1 - len(wrong) / 20)


@pytest.mark.parametrize("cells", [100, 20_000_000], ids=["as_parquet", "as_csv"])
def test_of_very_many_mistakes_the_surest_are_kept(
    predict, mislabelled: Path, monkeypatch: pytest.MonkeyPatch, cells: int
):
    whole = predict(mislabelled, name="whole")[1]
    monkeypatch.setattr(batch, "MOST_CELLS", cells)
    monkeypatch.setattr(batch, "MOST_MISTAKES", 3)
    _, found = predict(mislabelled, "--partitions", 5)
    names = [row["ima"] for row in found.rows("mistakes.csv")]
    assert names == [row["ima"] for row in whole.rows("mistakes.csv")][:3]
    assert found.manifest["labelled"]["mistakes"] == whole.manifest["labelled"]["mistakes"] > 3
    assert "The surest 3 of" in (found.folder / "report.html").read_text(encoding="utf-8")


def test_a_batch_of_labelled_pictures_has_a_report_with_its_mistakes_as_pictures(
    predict, mislabelled: Path, model: Model
):
    _, found = predict(mislabelled)
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    for part in ("Confusion matrix", "Most often confused", "Worst mistakes", "Pictures that could not be used"):
        assert part in page
    assert model.digest in page
    assert found.manifest["dataset"]["listing_sha256"] in page
    assert "Corn taken for Orange" in page
    assert page.count('src="data:image/') >= 10
    assert "broken.jpg" in page
    assert {"mistakes.csv", "report.html"} <= {file["path"] for file in found.manifest["files"]}


# ---- going on


def begin(sample: Path, out: Path, model: Model, count: int, *, digest: str | None = None) -> storage.RunFolder:
    """What an attempt leaves that ended after `count` pictures."""
    images = dataset.listing("all", str(sample), loose=True)
    folder = storage.RunFolder(str(out), "one", goes_on=True)
    folder.claim()
    folder.begin({"model": digest or model.digest, "listing_sha256": images.digest(), **Rejection().asked()})
    rows = images.table.slice(0, count).select(["ima"])
    rows = rows.append_column("root", [[images.root] * count]).combine_chunks()
    task = BatchPrediction(model.digest, lambda: pytest.fail("the model is there"), Rejection(), folder.uri("_parts"))
    parts._unpacked[model.digest] = model
    (done,) = task.work(rows.to_batches()[0]).to_pylist()
    assert done["pictures"] == count
    return folder


def test_a_batch_goes_on_where_an_earlier_attempt_stopped(predict, sample: Path, model: Model, tmp_path: Path):
    expected = predict(sample, name="whole")[1]
    folder = begin(sample, tmp_path / "out", model, 37)
    folder.release()
    # half-written files, as a killed process leaves them
    (tmp_path / "out" / "one" / "_parts" / "part-half.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "out" / "one" / "_parts" / ".part-x.parquet.tmp").write_bytes(b"")
    answer, found = predict(sample)
    assert "37 pictures were predicted by an earlier attempt" in answer.out
    assert found.manifest["predicted_earlier"] == 37
    assert [row["predicted_cat"] for row in found.rows("predictions.csv")] == [
        row["predicted_cat"] for row in expected.rows("predictions.csv")
    ]
    assert found.files() == WHOLE | SCORED
    for name in ("mistakes.csv", "confusion_matrix.csv"):
        assert (found.folder / name).read_bytes() == (expected.folder / name).read_bytes()


def test_a_killed_process_is_gone_on_with(shared: Shared, tmp_path: Path, model: Model):
    write_sample(tmp_path / "data", categories=3, train_images=300, test_images=60)
    given = ["predict", "--model", MODEL, "--data", tmp_path / "data", "--out", tmp_path / "out", "--run-name", "one"]
    given += ["--master", "local[2]", "--partitions", 40, "--conf", f"spark.driver.extraJavaOptions={QUICK}"]
    command = [sys.executable, "-m", "job", *map(str, given)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        place, deadline = tmp_path / "out" / "one" / "_parts", time.monotonic() + 200
        while len(list(place.glob("part-*"))) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    left = len(list(place.glob("part-*")))
    assert 3 <= left < 40
    answer = shared(*given)
    assert answer.code == 0, answer.err
    found = Results(tmp_path / "out" / "one")
    assert found.manifest["predicted_earlier"] >= left * 360 // 40 // 2
    rows = found.rows("predictions.csv")
    expected = model.predict([tmp_path / "data" / row["ima"] for row in rows])
    assert [row["predicted_cat"] for row in rows] == [each.category for each in expected]
    assert len({row["ima"] for row in rows}) == 360
    assert found.files() == WHOLE | SCORED


def test_an_attempt_that_failed_is_kept_by_its_name_and_gone_on_with(
    predict, sample: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise UserError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(batch, "_write", fail)
        answer, found = predict(sample, code=1)
    assert answer.sentence() == "The disk is full."
    assert {path.split("/")[0] for path in found.files()} == {"_parts", "_progress.json"}
    _, found = predict(sample)
    assert found.manifest["predicted_earlier"] == 90
    assert found.files() == WHOLE | SCORED


def test_an_attempt_without_a_name_that_failed_leaves_nothing(
    shared: Shared, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise UserError("The disk is full.")

    monkeypatch.setattr(batch, "_write", fail)
    answer = shared("predict", "--model", MODEL, "--data", sample, "--out", tmp_path / "out")
    assert answer.code == 1
    assert not list((tmp_path / "out").glob("*"))


def test_other_work_is_not_gone_on_with(predict, sample: Path, flat: Path, model: Model, tmp_path: Path):
    begin(sample, tmp_path / "out", model, 5).release()
    before = Results(tmp_path / "out" / "one").files()
    for data, more in ((flat, ()), (sample, ("--reject-below", "0.5"))):
        answer, found = predict(data, *more, code=2)
        assert (
            "was begun with another model, other pictures or another --reject-below or --reject-unknown"
            in answer.sentence()
        )
        assert found.files() == before


def test_a_whole_batch_is_left_alone(predict, flat: Path):
    _, found = predict(flat)
    before = (found.folder / "manifest.json").read_bytes()
    answer, _ = predict(flat, code=2)
    assert "The run 'one' is already in" in answer.sentence()
    assert (found.folder / "manifest.json").read_bytes() == before


def test_files_that_the_executors_wrote_elsewhere_are_told(sample: Path, model: Model, tmp_path: Path):
    folder = begin(sample, tmp_path, model, 5)
    images = dataset.listing("all", str(sample), loose=True)
    with pytest.raises(UserError, match=r"executors' files of predictions are not in .*: give --out an s3:// address"):
        batch._gathered(folder, "_parts", [*folder.parts("_parts"), "part-elsewhere.parquet"], images, model.categories)
    with pytest.raises(UserError, match="Of 90 pictures 5 came back"):
        batch._gathered(folder, "_parts", folder.parts("_parts"), images, model.categories)


# ---- what can't be done


def test_an_address_without_pictures_and_a_model_that_is_not_there_are_told(shared: Shared, flat: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    answer = shared("predict", "--model", MODEL, "--data", tmp_path / "empty", "--out", tmp_path / "out")
    assert answer.code == 1
    assert f"no pictures (.jpg, .jpeg, .png) in '{tmp_path}/empty'" in answer.sentence()
    answer = shared("predict", "--model", tmp_path / "none", "--data", flat, "--out", tmp_path / "out")
    assert answer.code == 1
    assert f"There is no model at '{tmp_path}/none'" in answer.sentence()
    assert not (tmp_path / "out").exists()


def test_latest_passes_over_the_folder_of_a_batch(shared: Shared, flat: Path, tmp_path: Path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "model").symlink_to(MODEL)
    (tmp_path / "first" / "manifest.json").write_text("{}", encoding="utf-8")
    for name in ("second", "third"):
        answer = shared("predict", "--data", flat, "--out", tmp_path, "--run-name", name)
        assert answer.code == 0, answer.err
    assert json.loads((tmp_path / "third" / "manifest.json").read_bytes())["model"]["uri"] == f"{tmp_path}/first/model"
