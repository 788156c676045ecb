"""A picture that crashes the worker which describes it, as a fault in a native library does: it costs no other."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark import cloudpickle
from running import Shared, clean_environment, results

from job.vision.descriptors import DESCRIPTORS
from job.vision.descriptors.base import Descriptor
from job.vision.sample import write_sample


def _deadly(picture) -> np.ndarray:
    """Mean colours; a segmentation fault for a picture of exactly 37 x 41 pixels."""
    if picture.colour.shape[:2] == (41, 37):
        ctypes.string_at(0)
    return picture.colour.mean(axis=(0, 1)).astype(np.float32).reshape(1, 3)


DEADLY = Descriptor(name="deadly", values=3, width=3, rows=_deadly, dtype=np.dtype(np.float32), pixels="colour",
                    local=False, encoding="none")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def deadly() -> Iterator[None]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    DESCRIPTORS.add("deadly", DEADLY)
    yield
    DESCRIPTORS.remove("deadly")
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    import cv2

    folder = tmp_path / "pictures"
    write_sample(folder, categories=2, train_images=40, test_images=10)
    for category in sorted((folder / "Training").iterdir()):
        for number in range(2):
            content = cv2.imencode(".png", np.full((41, 37, 3), number, np.uint8))[1].tobytes()
            (category / f"deadly {number}.png").write_bytes(content)
    return folder


@pytest.mark.parametrize("cached", [False, True])
def test_pictures_that_crash_workers_are_listed_as_crashed_and_the_run_ends_well(
    shared: Shared, pictures: Path, tmp_path: Path, cached: bool
):
    given = ("--data", pictures, "--features", "deadly", "--classifier", "logistic", "--out", tmp_path / "out")
    given += ("--cache", tmp_path / "cache") if cached else ()
    answer = shared("run", *given)
    assert answer.code == 0, answer.err
    found = results(tmp_path / "out")
    assert [(Path(row["path"]).name, row["reason"]) for row in found.rows("rejected.csv")] == [
        ("deadly 0.png", "crashed"), ("deadly 1.png", "crashed"),
    ] * 2  # fmt: skip
    train = found.manifest["dataset"]["train"]
    assert (train["images"], train["described"], train["rejected"]) == (44, 40, 4)
    if cached:  # what crashed is tried again, since it may pass
        answer = shared("run", *given, "--run-name", "again")
        assert answer.code == 0, answer.err
        assert "from_cache=40" in answer.out


def test_a_batch_of_predictions_and_a_comparison_of_candidates_end_well_too(
    shared: Shared, pictures: Path, tmp_path: Path
):
    given = ("--data", pictures, "--features", "deadly", "--classifier", "logistic", "--out", tmp_path / "out")
    assert shared("run", *given, "--run-name", "a").code == 0
    model = tmp_path / "out" / "a" / "model"
    answer = shared("predict", "--model", model, "--data", pictures, "--out", tmp_path / "predicted")
    assert answer.code == 0, answer.err
    found = results(tmp_path / "predicted")
    assert [row["reason"] for row in found.rows("rejected.csv")] == ["crashed"] * 4
    assert len(found.rows("predictions.csv")) == 54
    answer = shared("tune", "--data", pictures, "--candidates", "deadly:none/logistic", "--out", tmp_path / "tuned")
    assert answer.code == 0, answer.err
    assert [row["reason"] for row in results(tmp_path / "tuned").rows("rejected.csv")] == ["crashed"] * 4


# Executors try a task again by themselves, as `local[2,2]` does, and no driver need begin anew.
ALONE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import test_native_crashes as own
from job.engine import crashes
from job.experiment import extract
extract.apart_after_a_crash = lambda work: work(apart=False)
own.cloudpickle.register_pickle_by_value(own)
own.DESCRIPTORS.add("deadly", own.DEADLY)
import job
job.run(data=sys.argv[3], out=sys.argv[4], features="deadly", classifier="logistic", master="local[2,2]")
"""


def test_a_task_that_is_tried_again_goes_on_by_itself(pictures: Path, tmp_path: Path):
    here = Path(__file__).parent
    line = [sys.executable, "-c", ALONE, str(here), str(here.parent), str(pictures), str(tmp_path / "out")]
    done = subprocess.run(line, capture_output=True, text=True, env=clean_environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert [row["reason"] for row in results(tmp_path / "out").rows("rejected.csv")] == ["crashed"] * 4
