"""Stores a small model of today's format, with pictures and the answers that Spark gives for them.

    .venv/bin/python tests/model/make_fixture.py

It makes `tests/model/data/v<version>/`: `model/` as a run leaves it, three generated pictures and `expected.json`. Run
it once for each version of the format (`job/model/format.py` says when); folders of older versions stay as they are.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from job import run
from job.model.format import FORMAT_VERSION
from job.vision.sample import sample_picture, write_sample

DATA = Path(__file__).parent / "data"
PICTURES = 3


def main() -> int:
    """Make the folder of today's version; refuse to change one that is there."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    target = DATA / f"v{FORMAT_VERSION}"
    if target.exists():
        print(f"{target} is there already: a stored version is never made again.")
        return 1
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_sample(folder / "data", categories=3, train_images=60, test_images=9)
        spark = SparkSession.builder.master("local[2]").getOrCreate()
        run(
            spark=spark,
            data=str(folder / "data"),
            out=str(folder / "out"),
            run_name="stored",
            features="rootsift:counts:8+orb:counts:8",
            components=4,
        )
        model = folder / "out" / "stored" / "model"
        pictures = {f"{place}.jpg": sample_picture(place, 500 + place, split="test") for place in range(PICTURES)}
        rows = [(name, bytearray(data)) for name, data in pictures.items()]
        frame = spark.createDataFrame(rows, "ima string, content binary")
        found = PipelineModel.load(str(model)).transform(frame).orderBy("ima").collect()
        expected = [
            {
                "picture": row["ima"],
                "category": row["predicted_cat"],
                "features": row["features"].toArray().tolist(),
                "probabilities": row["probability"].toArray().tolist(),
            }
            for row in found
        ]
        spark.stop()
        shutil.copytree(model, target / "model", ignore=shutil.ignore_patterns(".*"))
        for name, data in pictures.items():
            (target / name).write_bytes(data)
        (target / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
