"""The format of a saved model: what is read, and the sentence with which everything else is refused."""

import io
import json
import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import stored as kept
from numpy.lib import format as npy

from job import load_model
from job.errors import UserError
from job.model import format as model_format
from job.vision.sample import sample_picture


def refusal(uri: object) -> str:
    """The one sentence with which a model is refused."""
    with pytest.raises(UserError) as error:
        load_model(uri)
    message = error.value.message
    assert "\n" not in message
    assert re.fullmatch(r"[A-Z'].*\.", message), message
    return message


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the stored model, to spoil."""
    return kept.write(tmp_path / "model", kept.files())


# ---- every version that there ever was


@pytest.mark.parametrize("version", range(1, model_format.FORMAT_VERSION + 1))
def test_each_version_of_the_format_is_read_and_answers_as_it_did(version: int):
    folder = kept.DATA / f"v{version}"
    expected = json.loads((folder / "expected.json").read_bytes())
    model = load_model(folder)
    pictures = [(folder / answer["picture"]).read_bytes() for answer in expected]
    np.testing.assert_allclose(
        model.probabilities(pictures), [answer["probabilities"] for answer in expected], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(model.features(pictures), [answer["features"] for answer in expected], rtol=0, atol=1e-6)
    assert [found.category for found in model.predict(pictures)] == [answer["category"] for answer in expected]


def test_there_is_a_reader_and_a_stored_model_for_every_version():
    versions = list(range(1, model_format.FORMAT_VERSION + 1))
    assert sorted(model_format._READERS) == versions
    assert sorted(path.name for path in kept.DATA.iterdir()) == [f"v{version}" for version in versions]


def test_the_stored_model_is_what_is_written_today(tmp_path: Path):
    assert kept.files(kept.remade(tmp_path)) == kept.files()


# ---- addresses


def test_the_model_is_found_by_its_folder_its_run_its_file_and_a_file_address(copy: Path):
    for address in (copy, copy.parent, copy / "model.json", str(copy), f"{copy}/", f"file://{copy}", f"file:{copy}"):
        assert load_model(address).uri == str(copy)


def test_what_is_said_of_a_model_can_be_asked(copy: Path):
    model = load_model(copy)
    assert model.categories == ("Corn", "Orange", "Raspberry")
    assert model.facts == {"run_name": "stored", "accuracy": 1.0}
    assert model.recipe["blocks"] == ["rootsift:counts:8", "orb:counts:8"]
    assert "numpy" in model.versions
    assert repr(model) == f"Model('{copy}', categories=3)"


def test_facts_beside_the_arrays_of_an_encoding_are_facts(copy: Path):
    part = model_format.read(copy).chain.parts[0]
    assert set(part.codebook.arrays) == {"words"}
    assert set(part.codebook.facts) == {"inertia", "iterations", "descriptors"}
    assert isinstance(part.codebook.facts["iterations"], int)


def test_arrays_that_were_read_can_not_be_written_to(copy: Path):
    words = model_format.read(copy).chain.parts[0].codebook.arrays["words"]
    with pytest.raises(ValueError, match="read-only"):
        words[0] = 0


# ---- not there


def test_an_address_with_nothing_is_refused(tmp_path: Path):
    assert f"There is no model at '{tmp_path / 'nowhere'}'" in refusal(tmp_path / "nowhere")


def test_an_empty_folder_is_refused(tmp_path: Path):
    assert f"'{tmp_path}' holds no model" in refusal(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path):
    (tmp_path / "picture.jpg").write_bytes(sample_picture(0, 0))
    assert "holds no model" in refusal(tmp_path / "picture.jpg")


@pytest.mark.parametrize("address", ["", "hdfs://somewhere/model"])
def test_an_address_that_can_not_be_meant_is_refused(address: str):
    assert "use a folder or s3://bucket/prefix" in refusal(address)


def test_a_model_without_its_last_file_is_half_written(copy: Path):
    (copy / "model.json").unlink()
    for address in (copy, copy.parent):
        assert f"'{copy}' is only half there" in refusal(address)


# ---- damaged


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_a_change_of_any_byte_of_the_description_is_found(copy: Path, flip: int):
    path = copy / "model.json"
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for place in range(len(whole)):
            os.pwrite(file.fileno(), bytes([whole[place] ^ flip]), place)
            refusal(copy)
            os.pwrite(file.fileno(), whole[place : place + 1], place)
    load_model(copy)


def test_a_description_that_is_cut_off_anywhere_is_found(copy: Path):
    path = copy / "model.json"
    for length in reversed(range(len(path.read_bytes().rstrip()))):
        os.truncate(path, length)
        assert "is damaged" in refusal(copy)


def test_a_change_of_any_byte_of_the_arrays_is_found(copy: Path):
    random = np.random.default_rng(1)
    paths = [kept.arrays_path(stage) for stage in (kept.VOCABULARY, kept.SCALER, kept.COMPONENTS, kept.CLASSIFIER)]
    for number in range(100):
        path = paths[number % len(paths)]
        whole = (copy / path).read_bytes()
        place = int(random.integers(len(whole)))
        (copy / path).write_bytes(
            whole[:place] + bytes([whole[place] ^ int(random.integers(1, 256))]) + whole[place + 1 :]
        )
        message = refusal(copy)
        assert f"The model '{copy}' is damaged" in message
        assert path in message
        (copy / path).write_bytes(whole)
    load_model(copy)


@pytest.mark.parametrize("path", sorted(set(kept.files()) - {"model.json"}))
def test_each_file_is_needed_whole(copy: Path, path: str):
    whole = (copy / path).read_bytes()
    for data in (b"", whole[:-1], whole + b"\0"):
        (copy / path).write_bytes(data)
        assert f"'{path}' has not its {len(whole)} bytes" in refusal(copy)
    (copy / path).unlink()
    assert f"'{path}' is missing" in refusal(copy)


def test_a_description_that_was_edited_is_refused(copy: Path):
    text = (copy / "model.json").read_text(encoding="utf-8")
    (copy / "model.json").write_text(text.replace("Raspberry", "Blackberry"), encoding="utf-8")
    assert "model.json is not as it was written" in refusal(copy)


@pytest.mark.parametrize("text", ["[]", "null", "7", "{", "\ufeff{}", "[" * 100_000, '{"a": 1, "a": 1}', '{"a": NaN}'])
def test_a_description_that_is_no_object_is_damaged(copy: Path, text: str):
    (copy / "model.json").write_text(text, encoding="utf-8")
    assert "is damaged" in refusal(copy)


def test_a_description_too_large_to_be_one_is_not_read(copy: Path):
    with (copy / "model.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert "too large" in refusal(copy)


# ---- foreign and newer


def test_a_model_of_a_newer_version_is_refused(tmp_path: Path):
    message = refusal(kept.signed(tmp_path, lambda found: found.update(format_version=2, blocks="something new")))
    assert "has format version 2" in message
    assert "install a newer one" in message


def test_a_model_of_another_program_is_refused(tmp_path: Path):
    assert "is a model of the program 'vegetables'" in refusal(
        kept.signed(tmp_path, lambda found: found.update(program="vegetables"))
    )


@pytest.mark.parametrize("version", [None, True, 0, -1, 1.0, "1", [1]])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: object):
    message = refusal(kept.signed(tmp_path, lambda found: found.update(format_version=version)))
    assert "is no model of this program" in message


def test_json_of_something_else_is_no_model(tmp_path: Path):
    (tmp_path / "model.json").write_text('{"layers": [1, 2]}', encoding="utf-8")
    assert "is no model of this program" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("key", "name"), [("descriptor", "gist"), ("encoding", "vlad2"), ("classifier", "oracle"), ("descriptor", "..")]
)
def test_a_part_that_this_program_lacks_is_named(tmp_path: Path, key: str, name: str):
    def change(found: dict) -> None:
        part = found["classifier"] if key == "classifier" else found["blocks"][1]
        part["name" if key == "classifier" else key] = name

    assert f"needs the {key} '{name}'" in refusal(kept.remade(tmp_path, change))


# ---- right checksums, wrong content


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/hostname", "a//b", "./a", "a/../../b", "a\\b", "", "a\0b", "model.json", "a/"]
)
def test_paths_outside_of_the_model_are_refused_before_a_file_is_read(tmp_path: Path, path: str):
    def change(found: dict) -> None:
        found["files"][path] = {"bytes": 1, "sha256": "0" * 64}

    assert "no path inside the model" in refusal(kept.signed(tmp_path, change))


@pytest.mark.parametrize(
    "change",
    [
        {"categories": []},
        {"categories": ["Corn", "Corn", "Orange"]},
        {"categories": [1, 2, 3]},
        {"categories": "Corn"},
        {"blocks": []},
        {"blocks": ["sift"]},
        {"blocks": [{"descriptor": "sift", "encoding": "counts"}]},
        {"blocks": [{"descriptor": 1, "encoding": "counts", "arrays": None}]},
        {"scaling": "x"},
        {"scaling": {"arrays": None}},
        {"components": []},
        {"classifier": {"name": "logistic"}},
        {"classifier": {"arrays": None}},
        {"classifier": "logistic"},
        {"picture": {"max_bytes": 0, "mask": True}},
        {"picture": {"max_bytes": True, "mask": True}},
        {"picture": {"max_bytes": 1, "mask": 1}},
        {"picture": None},
        {"recipe": None},
        {"facts": []},
        {"files": []},
        {"files": {"a": {"bytes": -1, "sha256": "0" * 64}}},
        {"files": {"a": {"bytes": 1, "sha256": "x"}}},
        {"files": {"a": 1}},
    ],
    ids=str,
)
def test_values_that_can_not_be_are_refused_with_their_key(tmp_path: Path, change: dict):
    (key,) = change
    message = refusal(kept.signed(tmp_path, lambda found: found.update(change)))
    assert "is not what it must be" in message
    assert f"'{key}'" in message or "'arrays'" in message


@pytest.mark.parametrize("key", ["categories", "blocks", "scaling", "components", "picture", "versions", "files"])
def test_a_key_that_is_missing_is_named(tmp_path: Path, key: str):
    assert f"'{key}'" in refusal(kept.signed(tmp_path, lambda found: found.pop(key)))


def test_arrays_that_are_no_file_of_the_model_are_refused(tmp_path: Path):
    message = refusal(kept.remade(tmp_path, lambda found: found["scaling"].update(arrays="stages/other.npz")))
    assert "'stages/other.npz', which it needs, is not among its files" in message


def with_arrays(folder: Path, stage: int, data: bytes) -> str:
    """The refusal of the model with that file of arrays in place of its own."""
    return refusal(kept.remade(folder, replaced={kept.arrays_path(stage): data}))


def test_objects_of_python_are_never_unpickled(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "sprung",))

    message = with_arrays(tmp_path, kept.VOCABULARY, kept.npz(words=np.array([Trap()], object)))
    assert "has values of object in 'words'" in message
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["float16", "complex128", "bool", "U3", "datetime64[s]", ">f4"])
def test_values_of_other_types_are_refused(tmp_path: Path, kind: str):
    assert "not float32, float64 or whole numbers" in with_arrays(
        tmp_path, kept.VOCABULARY, kept.npz(words=np.zeros((8, 128), kind))
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stage", [kept.VOCABULARY, kept.SCALER, kept.COMPONENTS, kept.CLASSIFIER])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float, stage: int):
    own = kept.arrays(stage)
    name = next(name for name, array in own.items() if array.ndim and array.dtype.kind == "f")
    own[name].flat[-1] = value
    assert f"has values in '{name}' that are not finite" in with_arrays(tmp_path, stage, kept.npz(**own))


def test_an_array_that_declares_more_than_it_has_is_refused_before_it_is_made(tmp_path: Path):
    buffer, header = io.BytesIO(), io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 1 << 40)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("words.npy", header.getvalue())
    assert "declares another size for 'words'" in with_arrays(tmp_path, kept.VOCABULARY, buffer.getvalue())


def test_arrays_that_unpack_to_more_than_their_file_are_refused_before_they_are_unpacked(tmp_path: Path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, words=np.zeros((1 << 20, 128), np.uint8))
    assert len(buffer.getvalue()) < 1 << 18
    assert "is compressed" in with_arrays(tmp_path, kept.VOCABULARY, buffer.getvalue())


@pytest.mark.parametrize("data", [b"", b"no arrays", kept.npz(), b"PK\x05\x06" + bytes(18)])
def test_files_without_arrays_are_refused(tmp_path: Path, data: bytes):
    assert "is no file of arrays" in with_arrays(tmp_path, kept.VOCABULARY, data)


def test_a_file_of_arrays_whose_bytes_were_made_up_is_refused_or_read_and_never_breaks(tmp_path: Path):
    random = np.random.default_rng(2)
    for number in range(200):
        stage = (kept.VOCABULARY, kept.SCALER, kept.COMPONENTS, kept.CLASSIFIER)[number % 4]
        data = bytearray(kept.files()[kept.arrays_path(stage)])
        # headers of arrays and of the archive lie at both ends
        for place in random.choice([*range(200), *range(len(data) - 200, len(data))], 3):
            data[place] = random.integers(256)
        folder = kept.remade(tmp_path, replaced={kept.arrays_path(stage): bytes(data)})
        with suppress(UserError):
            load_model(folder)


@pytest.mark.parametrize(
    ("stage", "changed", "phrase"),
    [
        (kept.VOCABULARY, {"words": np.zeros((8, 127), np.float32)}, "'rootsift:counts' do not fit its descriptor"),
        (kept.VOCABULARY, {"words": np.zeros(8, np.float32)}, "'rootsift:counts' do not fit its descriptor"),
        (kept.VOCABULARY, {"words": np.zeros((0, 128), np.float32)}, "'rootsift:counts'"),
        (kept.VOCABULARY, {"words": None}, "'rootsift:counts' do not fit its descriptor"),
        (kept.VOCABULARY, {"words": np.zeros((9, 128), np.float32)}, "the scaling is one of other blocks"),
        (kept.SCALER, {"widths": np.array([8, 9])}, "the scaling is one of other blocks"),
        (kept.SCALER, {"widths": np.array([16])}, "the scaling is one of other blocks"),
        (kept.SCALER, {"mean": np.zeros(15)}, "the arrays of the scaling do not fit each other"),
        (kept.SCALER, {"deviation": np.zeros(3)}, "the arrays of the scaling do not fit each other"),
        (kept.SCALER, {"deviation": np.array([1.0, 0.0])}, "not above 0"),
        (kept.SCALER, {"mean": None}, "there is no array named 'mean'"),
        (kept.COMPONENTS, {"mean": np.zeros(17)}, "not those of vectors of 16 values"),
        (kept.COMPONENTS, {"axes": np.zeros((17, 4))}, "not those of vectors of 16 values"),
        (kept.COMPONENTS, {"axes": np.zeros(16)}, "not those of vectors of 16 values"),
        (kept.COMPONENTS, {"variances": np.zeros(3)}, "principal components do not fit each other"),
        (kept.COMPONENTS, {"axes": None}, "there is no array named 'axes'"),
        (kept.COMPONENTS, {"axes": np.full((16, 4), 1e308)}, "the features of a picture can't be computed"),
        (kept.CLASSIFIER, {"weights_0": np.zeros((5, 4))}, "do not fit 3 categories"),
        (kept.CLASSIFIER, {"weights_0": np.zeros((6, 3))}, "classifier do not fit the features"),
        (kept.CLASSIFIER, {"weights_0": None}, "do not fit 3 categories"),
        (kept.CLASSIFIER, {"scale": np.zeros(4)}, "the classifier gives no probabilities"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path: Path, stage: int, changed: dict, phrase: str):
    own = {name: array for name, array in {**kept.arrays(stage), **changed}.items() if array is not None}
    assert phrase in with_arrays(tmp_path, stage, kept.npz(**own))


def test_a_description_can_not_be_written_with_numbers_that_are_not_finite():
    with pytest.raises(ValueError, match="JSON"):
        model_format.assemble({}, {"facts": {"accuracy": float("nan")}})
