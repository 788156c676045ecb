"""Two thousand pictures that were damaged on purpose, under names that are meant to harm: none crashes, none is lost.

The long form is `tests/fuzz/bad_pictures.py`.
"""

import os
from collections import Counter
from pathlib import Path

import pytest
from accounts import CATEGORIES, DESCRIBED, dangers, fates, write
from mutations import generated, mutated, real
from running import Answer, Results, results

from job import storage
from job.storage.pack import pack
from job.vision import pixels

COUNT = 2_000


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The folder, and by path what is in it."""
    folder = tmp_path_factory.mktemp("mutated") / "pictures"
    originals = generated(12)
    shared = Path(os.environ.get("FRUITS_SHARED", "")) / "fruits-360" / "Training"  # real ones, where there are any
    originals += real(shared, 12) if shared.is_dir() else []
    return folder, write(folder, mutated(COUNT, 20, originals))


@pytest.fixture(scope="module")
def run(shared, pictures, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Answer]:
    out = tmp_path_factory.mktemp("out") / "out"
    given = ("--features", "sift:counts:5+hsv", "--classifier", "logistic", "--max-bad-fraction", "1")
    answer = shared("run", "--data", pictures[0], "--out", out, *given)
    assert answer.code == 0, answer.err
    return results(out), answer


def test_each_picture_is_described_or_listed_with_its_reason(run, pictures):
    found = fates(run[0])
    assert found.keys() == pictures[1].keys()
    counts = Counter(found.values())
    assert set(counts) == {DESCRIBED, "empty", "too_large", "not_an_image", "not_supported", "truncated", "damaged"} | (
        set(counts) & {"no_descriptors"}
    )
    assert min(counts[DESCRIBED], counts["truncated"], counts["not_an_image"]) >= COUNT / 20, counts


def test_the_reason_is_the_one_that_the_decoder_gives(run, pictures):
    for path, fate in list(fates(run[0]).items())[::7]:
        if fate in (DESCRIBED, "no_descriptors"):
            assert pixels.decode_colour(pictures[1][path]).ndim == 3, path
        else:
            with pytest.raises(pixels.Unusable, match=f"^{fate}$"):
                pixels.decode_colour(pictures[1][path])


def test_names_leave_no_trace_outside_of_the_run_s_folder_and_run_nowhere(run, pictures):
    found, answer = run
    assert {path.name for path in found.folder.parent.iterdir()} == {found.folder.name}
    assert found.files() == {file["path"] for file in found.manifest["files"]} | {"manifest.json"}
    assert not [path for place in (Path.cwd(), found.folder.parent.parent) for path in place.glob("*owned*")]
    assert dangers(found.folder / "report.html") == []
    assert "\x1b" not in answer.out + answer.err
    assert sorted(found.manifest["dataset"]["train"]["categories"]) == sorted(CATEGORIES)


def test_no_cell_of_a_table_is_a_formula(run):
    tables = [name for name in run[0].files() if name.endswith(".csv")]
    assert {"predictions.csv", "confusion_matrix.csv", "rejected.csv"} <= set(tables)
    for name in tables:
        cells = [*run[0].columns(name), *(cell for row in run[0].rows(name) for cell in row.values())]
        bad = [cell for cell in cells if cell and cell[0] in "=+-@\t\r" and not _is_number(cell)]
        assert not bad, (name, bad[:3])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_packed_they_are_the_same_pictures(pictures, tmp_path: Path):
    folder, contents = pictures
    done = pack(str(folder), str(tmp_path / "packed"))
    assert done.images == COUNT
    root = storage.data_root(str(tmp_path / "packed"))
    names = storage.list_images(root)["name"].to_pylist()
    assert sorted(names) == sorted(contents)
    for name, content in zip(names, storage.read_many(root, names, max_bytes=pixels.MAX_BYTES), strict=True):
        assert content == (contents[name] or storage.Fault("empty")), name
