"""`fruits predict` on pictures that are named: lines, JSON, reasons, exit codes, models that can't be used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from running import clean_environment, fruits

from job import load_model

V1 = Path(__file__).parents[1] / "model" / "data" / "v1"
MODEL = V1 / "model"
CATEGORIES = ["Corn", "Orange", "Raspberry"]


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


# ---- answers


def test_a_line_a_picture_with_path_category_and_probability(answer):
    found = answer("predict", "--model", MODEL, V1 / "2.jpg", V1 / "0.jpg")
    assert (found.code, found.err) == (0, "")
    expected = load_model(MODEL).predict([V1 / "2.jpg", V1 / "0.jpg"])
    assert rows(found.out) == [
        [str(V1 / name), each.category, f"{each.probability:.4f}"]
        for name, each in zip(("2.jpg", "0.jpg"), expected, strict=True)
    ]


def test_the_model_may_be_the_folder_of_its_run_and_folders_of_pictures_are_walked(answer):
    found = answer("predict", "--model", V1, V1)
    assert [row[1] for row in rows(found.out)] == CATEGORIES
    assert [row[0] for row in rows(found.out)] == [f"{V1}/{number}.jpg" for number in range(3)]


def test_next_guesses_are_told_on_demand(answer):
    (row,) = rows(answer("predict", "--model", MODEL, V1 / "0.jpg", "--top-k", 2).out)
    top = load_model(MODEL).predict(V1 / "0.jpg").top
    assert row[1:] == [top[0][0], f"{top[0][1]:.4f}", top[1][0], f"{top[1][1]:.4f}"]
    (row,) = rows(answer("predict", "--model", MODEL, V1 / "0.jpg", "--top-k", 99).out)
    assert len(row) == 1 + 2 * len(CATEGORIES)


def test_json_has_one_object_a_line_with_all_digits(answer):
    found = answer("predict", "--model", MODEL, "--json", "--top-k", 3, V1 / "0.jpg", V1 / "nowhere.jpg")
    first, second = map(json.loads, found.out.splitlines())
    expected = load_model(MODEL).predict(V1 / "0.jpg")
    assert first == {
        "picture": str(V1 / "0.jpg"),
        "status": "ok",
        "category": expected.category,
        "probability": expected.probability,
        "top": [{"category": name, "probability": chance} for name, chance in expected.top],
    }
    assert second == {
        "picture": str(V1 / "nowhere.jpg"),
        "status": "unreadable",
        "category": None,
        "probability": None,
        "top": [],
        "reason": "The file is not there, or it can't be read.",
    }


@pytest.mark.parametrize("more", [(), ("--data", V1, "--watch", "--run-name", "live")])
def test_a_model_that_does_not_know_distances_is_not_asked_for_them(answer, more):
    found = answer("predict", "--model", MODEL, "--reject-unknown", "0.05", *(more or [V1]))
    assert found.code == 1
    assert "does not know how far a picture is from its categories" in found.err
    assert found.out == ""


def test_below_the_probability_that_was_asked_for_the_answer_is_unknown(answer):
    found = answer("predict", "--model", MODEL, V1, "--reject-below", "0.99")
    chances = load_model(MODEL).probabilities([V1 / f"{number}.jpg" for number in range(3)]).max(axis=1)
    expected = [name if chance >= 0.99 else "unknown" for name, chance in zip(CATEGORIES, chances, strict=True)]
    assert "unknown" in expected
    assert [row[1] for row in rows(found.out)] == expected
    assert found.code == 0
    told = answer("predict", "--model", MODEL, V1 / "0.jpg", "--reject-below", "1", "--json")
    assert {key: json.loads(told.out)[key] for key in ("status", "category")} == {"status": "unknown", "category": None}
    assert told.code == 0


def test_many_pictures_are_answered_in_their_order(answer):
    pictures = [V1 / f"{number % 3}.jpg" for number in range(100)]
    found = answer("predict", "--model", MODEL, *pictures)
    assert [row[1] for row in rows(found.out)] == [CATEGORIES[number % 3] for number in range(100)]


# ---- pictures that can't be used


def test_pictures_that_can_not_be_used_are_told_with_their_reason_and_the_others_are_answered(answer, tmp_path: Path):
    (tmp_path / "text.jpg").write_text("This is not a picture.", encoding="utf-8")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes((V1 / "0.jpg").read_bytes()[:1500])
    found = answer("predict", "--model", MODEL, tmp_path, V1 / "0.jpg", tmp_path / "nowhere.jpg")
    assert found.code == 0
    assert [row[1:] for row in rows(found.out) if row[1] == "-"] == [
        ["-", "-", "truncated: The end of the picture is missing."],
        ["-", "-", "empty: The picture has no bytes."],
        ["-", "-", "not_an_image: This is neither a JPEG nor a PNG, or it is damaged."],
        ["-", "-", "unreadable: The file is not there, or it can't be read."],
    ]
    assert found.sentence() == "4 of 5 pictures could not be used."


def test_the_exit_code_is_1_when_no_picture_could_be_used(answer, tmp_path: Path):
    found = answer("predict", "--model", MODEL, tmp_path / "nowhere.jpg")
    assert (found.code, found.sentence()) == (1, "The picture could not be used.")
    found = answer("predict", "--model", MODEL, tmp_path / "nowhere.jpg", tmp_path / "neither.jpg")
    assert (found.code, found.sentence()) == (1, "2 of 2 pictures could not be used.")


def test_a_name_can_not_write_to_the_terminal_or_end_a_line(answer, tmp_path: Path):
    odd = tmp_path / "a\tb\n\x1b[31m.jpg"
    odd.write_bytes((V1 / "0.jpg").read_bytes())
    found = answer("predict", "--model", MODEL, odd)
    ((name, category, _),) = rows(found.out)
    assert (name, category) == (f"{tmp_path}/a\\tb\\n\\x1b[31m.jpg", "Corn")
    assert json.loads(answer("predict", "--model", MODEL, odd, "--json").out)["picture"] == str(odd)


def test_a_folder_without_pictures_is_told(answer, tmp_path: Path):
    found = answer("predict", "--model", MODEL, tmp_path)
    assert (found.code, found.out) == (1, "")
    assert f"no pictures (.jpg, .jpeg, .png) in '{tmp_path}'" in found.sentence()


# ---- models


def test_latest_is_the_newest_whole_run(answer, tmp_path: Path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "first" / "model").symlink_to(MODEL)
    for arguments in (("--model", "latest"), ()):
        found = answer("predict", *arguments, "--out", tmp_path, V1 / "1.jpg")
        assert [row[1] for row in rows(found.out)] == ["Orange"]


def test_where_the_runs_are_may_be_said_in_the_environment(answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "manifest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "first" / "model").symlink_to(MODEL)
    monkeypatch.setenv("FRUITS_OUT", str(tmp_path))
    monkeypatch.setenv("FRUITS_TRAIN", "a setting of another command")
    assert answer("predict", V1 / "1.jpg").code == 0


def test_without_a_run_latest_is_told_in_a_sentence(answer, tmp_path: Path):
    found = answer("predict", "--out", tmp_path, V1 / "1.jpg")
    assert found.code == 1
    assert f"no whole run with a model in '{tmp_path}'" in found.sentence()


def copied(model: Path, *left_out: str) -> None:
    for path in MODEL.rglob("*"):
        target = model / path.relative_to(MODEL)
        if path.is_file() and path.name not in left_out:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def flipped(model: Path) -> None:
    copied(model)
    path = next(model.rglob("arrays.npz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def newer(model: Path) -> None:
    model.mkdir()
    content = {**json.loads((MODEL / "model.json").read_bytes()), "format_version": 999}
    (model / "model.json").write_text(json.dumps(content), encoding="utf-8")


def foreign(model: Path) -> None:
    (model / "metadata").mkdir(parents=True)
    (model / "metadata" / "part-00000").write_text("{}", encoding="utf-8")
    (model / "metadata" / "_SUCCESS").touch()


SPOILT = {
    "missing": (Path.exists, "There is no model at '{model}'"),
    "empty": (Path.mkdir, "'{model}' holds no model"),
    "half-written": (lambda model: copied(model, "model.json"), "is only half there"),
    "damaged": (flipped, "is damaged"),
    "newer": (newer, "format version 999"),
    "foreign": (foreign, "was saved by Spark ML"),
}


@pytest.mark.parametrize("case", sorted(SPOILT))
def test_a_model_that_can_not_be_used_is_told_in_a_sentence(case: str, answer, tmp_path: Path):
    make, part = SPOILT[case]
    model = tmp_path / "model"
    make(model)
    found = answer("predict", "--model", model, V1 / "0.jpg")
    assert (found.code, found.out) == (1, "")
    assert part.format(model=model) in found.sentence()


# ---- wrong usage


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("predict",), "nothing to predict"),
        (("predict", "x.jpg", "--reject-below", "2"), "'2' must be a number from 0 to 1"),
        (("predict", "x.jpg", "--reject-below", "nan"), "'nan' must be a number from 0 to 1"),
        (("predict", "x.jpg", "--top-k", "0"), "'0' must be a whole number of 1 or more"),
        (("predict", "gs://bucket/x.jpg", "--model", str(MODEL)), "gs"),
        (("predict", "x.jpg", "--model", ""), "empty address"),
        (("predict", "x.jpg", "--data", "y"), "--data is given together with pictures"),
        (("predict", "x.jpg", "--master", "local[2]"), "--master is given together with pictures"),
        (("predict", "--data", "y", "-q", "-v"), "-v/--verbose: not allowed with argument -q/--quiet"),
        (("predict", "--data", "y", "--top-k", "3"), "--top-k is given together with --data"),
        (("predict", "--data", "y", "--run-name", "a/b"), "--run-name is 'a/b'"),
        (("predict", "--data", "gs://bucket/y"), "--data is 'gs://bucket/y'"),
        (("predict", "--watch"), "nothing to predict"),
        (("predict", "x.jpg", "--watch"), "--watch is given without --data"),
        (("predict", "--data", "y", "--watch"), "--watch is given without --run-name"),
        (("predict", "--data", "y", "--once"), "--once is given without --watch"),
        (("predict", "x.jpg", "--every", "5s"), "--every is given without --watch"),
        (("predict", "--data", "y", "--watch", "--every", "0s"), "'0s' must be a time such as 90s"),
        (("predict", "--data", "y", "--metrics-port", "9090"), "--metrics-port is given without --watch"),
        (
            ("predict", "--data", "y", "--watch", "--metrics-host", "::"),
            "--metrics-host is given without --metrics-port",
        ),
        (("predict", "--data", "y", "--watch", "--master", "local[2]"), "--master is given together with --watch"),
        (("predict", "--data", "y", "--watch", "--conf", "spark.a=1"), "which works without Spark: leave one of them"),
        (("predict", "--data", "y", "--watch", "--public-read"), "--public-read is given together with --watch"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments, part, answer):
    found = answer(*arguments)
    assert (found.code, found.out) == (2, "")
    assert part in found.sentence()


# ---- the process


def test_pictures_are_predicted_without_spark_pandas_scipy_and_clients_of_stores():
    code = (
        "import sys\n"
        "from job.commands import main\n"
        "code = main.main(sys.argv[1:])\n"
        "print('LOADED', *sorted(sys.modules))\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", "--model", str(MODEL), str(V1)],
        env=clean_environment(PATH="/nowhere"),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    assert {"numpy", "cv2", "job.model.predict"} <= loaded
    assert not {"pyspark", "py4j", "pandas", "scipy", "obstore", "s3fs", "kubernetes", "rich", "jinja2"} & loaded


def test_the_command_answers_without_java(without_java):
    found = fruits("predict", "--model", MODEL, V1 / "0.jpg", environment=without_java)
    assert (found.code, found.err) == (0, "")
    assert rows(found.out)[0][1] == "Corn"


def test_a_reader_that_goes_away_is_no_error():
    line = f"{sys.executable} -m job predict --model {MODEL} {V1} {V1} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], env=clean_environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Corn" in done.stdout
