"""A driver that is killed near the end of extraction, with pictures and cache in a bucket."""

from pathlib import Path

import pytest
from resuming import Cache, killed_at, started_again
from running import QUICK
from s3_servers import Server, on_one

from job import storage
from job.vision.sample import sample_picture, write_sample

PICTURES = 400
SETTINGS = ("--features", "lbp", "--augment", "mild", "--augment-images", PICTURES, "--classifier", "lda",
            "--master", "local[2]", "--conf", f"spark.driver.extraJavaOptions={QUICK}")  # fmt: skip


@pytest.mark.slow
@on_one
def test_a_run_killed_at_nine_tenths_of_extraction_describes_at_most_15_percent_again(
    server: Server, bucket: str, tmp_path: Path
):
    write_sample(tmp_path / "pictures", categories=3, train_images=PICTURES, test_images=12)
    for path in (tmp_path / "pictures").rglob("*.jpg"):
        storage.write_bytes(f"s3://{bucket}/data/{path.relative_to(tmp_path / 'pictures')}", path.read_bytes())
    cache = Cache(f"s3://{bucket}/cache")
    given = ("--data", f"s3://{bucket}/data", "--out", f"s3://{bucket}/out", "--cache", cache.address, *SETTINGS)
    known = killed_at(0.9, PICTURES, cache, tmp_path / "log", given)
    storage.write_bytes(f"s3://{bucket}/data/{min(known)}", sample_picture(2, 7777))
    storage.write_bytes(f"s3://{bucket}/data/{min(known).rpartition('/')[0]}/new.jpg", sample_picture(2, 7778))
    _, came = started_again(given)
    assert came == {"train": len(known) - 1, "test": 0}
    assert PICTURES - came["train"] <= 0.15 * PICTURES
