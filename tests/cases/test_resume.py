"""A driver that is killed near the end of extraction, by the whole command: little is described again."""

import csv
from pathlib import Path

import numpy as np
import pytest
from resuming import Cache, killed_at, started_again
from running import QUICK, Shared, fruits, results

from job.vision.sample import write_sample

PICTURES = 400
# Slow to describe, quick to learn from.
SETTINGS = ("--features", "lbp", "--augment", "mild", "--augment-images", PICTURES, "--classifier", "lda",
            "--master", "local[2]", "--conf", f"spark.driver.extraJavaOptions={QUICK}")  # fmt: skip


def predictions(folder: Path) -> dict[str, float]:
    with (results(folder).folder / "predictions.csv").open(newline="") as file:
        return {row["ima"]: float(row["probability"]) for row in csv.DictReader(file)}


@pytest.mark.slow
def test_a_run_of_packed_pictures_killed_at_nine_tenths_of_extraction_describes_at_most_15_percent_again(
    shared: Shared, tmp_path: Path
):
    """tests/s3/test_s3_resume.py has plain pictures, of which some change meanwhile."""
    write_sample(tmp_path / "pictures", categories=3, train_images=PICTURES, test_images=12)
    assert fruits("pack", tmp_path / "pictures", tmp_path / "packed").code == 0
    given = ("--data", tmp_path / "packed", *SETTINGS)
    cache = Cache(str(tmp_path / "cache"))
    more = ("--cache", cache.address, "--run-name", "killed")
    known = killed_at(0.9, PICTURES, cache, tmp_path / "log", (*given, "--out", tmp_path / "killed", *more))
    _, came = started_again((*given, "--out", tmp_path / "out", *more))
    assert came == {"train": len(known), "test": 0}
    assert PICTURES - came["train"] <= 0.15 * PICTURES
    answer = shared("run", *given, "--out", tmp_path / "undisturbed")
    assert answer.code == 0, answer.err
    ours, theirs = predictions(tmp_path / "out"), predictions(tmp_path / "undisturbed")
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(list(ours.values()), [theirs[name] for name in ours], atol=1e-6)
