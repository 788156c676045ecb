"""The work of the product, done inside the image, with no more rights than a restricted pod has."""

import csv
import json
import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from containers import RESTRICTED, ROOT, python, run, running, tool, until
from test_image_entrypoint import STRANGER, variables

if TYPE_CHECKING:
    from s3_servers import Server

FRUITS = ROOT.parent / "shared" / "fruits-360"


def manifest(folder: Path) -> dict[str, object]:
    (found,) = folder.rglob("manifest.json")
    content: dict[str, object] = json.loads(found.read_text())
    return content


def outside(*arguments: object) -> None:
    """The command on this machine."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("FRUITS_", "SPARK_", "PYSPARK_"))}
    done = subprocess.run(
        [sys.executable, "-m", "job", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**ours, "FRUITS_CLASS_ARCHIVE": "off"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("user", [(), STRANGER], ids=["spark", "stranger"])
def test_the_main_job_on_the_sample_leaves_its_results_in_a_mounted_folder(
    user: tuple[str, ...], results: Path
) -> None:
    mount = ("-v", f"{results}:/opt/spark/work-dir/out")
    run("run", options=(*RESTRICTED, *mount, *user)).succeeded()
    assert manifest(results)["accuracy"] >= 0.9  # type: ignore[operator]
    owner = 54321 if user else 185
    assert {path.stat().st_uid for path in results.rglob("*") if path.is_file()} == {owner}


def test_a_folder_that_cant_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    answer = run("run", options=(*RESTRICTED, "-v", f"{tmp_path}:/opt/spark/work-dir/out"))
    assert (answer.code, answer.err.count("\n")) == (1, 1), answer.err
    assert "out" in answer.err


@pytest.mark.parametrize("descriptor", ["sift", "rootsift", "orb", "surf"])
def test_every_descriptor_gives_what_it_gives_outside(
    descriptor: str, pictures: Path, results: Path, tmp_path: Path
) -> None:
    flags = ("--descriptor", descriptor, "--words", "30", "--run-name", descriptor)
    options = (*RESTRICTED, "-v", f"{pictures}:/data:ro", "-v", f"{results}:/results")
    with ThreadPoolExecutor() as both:
        beside = both.submit(outside, "run", "--data", pictures, "--out", tmp_path / "here", *flags)
        run("run", "--data", "/data", "--out", "/results", *flags, options=options).succeeded()
        beside.result()
    for table in ("bag_of_words_train.csv", "bag_of_words_test.csv"):
        assert (results / descriptor / table).read_text() == (tmp_path / "here" / descriptor / table).read_text()
    with (
        (results / descriptor / "predictions.csv").open() as inside,
        (tmp_path / "here" / descriptor / "predictions.csv").open() as here,
    ):
        assert [row["predicted_cat"] for row in csv.DictReader(inside)] == [
            row["predicted_cat"] for row in csv.DictReader(here)
        ]


def test_the_main_job_on_real_pictures_mounted_into_it(results: Path) -> None:
    if not FRUITS.is_dir():
        if os.environ.get("CI"):
            pytest.fail("no real pictures beside the project")
        pytest.skip("no real pictures beside the project")
    categories = sorted(path.name for path in (FRUITS / "Training").iterdir())[:3]
    run(
        "run",
        "--data",
        "/data",
        "--out",
        "/results",
        "--categories",
        ",".join(categories),
        "--train-images",
        "90",
        "--test-images",
        "60",
        "--words",
        "50",
        options=(*RESTRICTED, "-v", f"{FRUITS}:/data:ro", "-v", f"{results}:/results"),
    ).succeeded()
    found = manifest(results)
    assert found["dataset"]["train"]["images"] == 90  # type: ignore[index]
    assert found["accuracy"] >= 0.8  # type: ignore[operator]


def test_a_model_saved_outside_is_loaded_inside(pictures: Path, tmp_path: Path) -> None:
    flags = ("--preset", "sift", "--words", "30", "--run-name", "model")
    outside("run", "--data", pictures, "--out", tmp_path / "here", *flags)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    program = (
        "from pyspark.sql import SparkSession; from pyspark.ml import PipelineModel; "
        "s = SparkSession.builder.master('local[1]').getOrCreate(); "
        "print([type(stage).__name__ for stage in PipelineModel.load('/model').stages])"
    )
    answer = run(
        "python", "-c", program, options=(*RESTRICTED, "-v", f"{tmp_path}/here/model/model:/model:ro")
    ).succeeded()
    assert "VisualVocabulary" in answer.out


def test_everything_that_the_product_uses_of_spark_still_works() -> None:
    answer = run(
        "python",
        "/features.py",
        timeout=600,
        options=(*RESTRICTED, "-v", f"{Path(__file__).with_name('features.py')}:/features.py:ro"),
    )
    assert answer.succeeded().out.splitlines()[-1] == "ok all"


def test_sparks_own_way_to_s3_works(minio: "Server") -> None:
    bucket = minio.bucket()
    mount = ("-v", f"{Path(__file__).with_name('features.py')}:/features.py:ro", "--network=host")
    answer = run(
        "python",
        "/features.py",
        "--only-s3",
        minio.endpoint,
        bucket,
        timeout=600,
        options=(*RESTRICTED[1:], *mount, *variables(minio.environment())),
    )
    assert "ok s3a" in answer.succeeded().out


def test_a_sample_is_uploaded_and_the_main_job_reads_and_writes_s3(minio: "Server") -> None:
    bucket = f"made-{secrets.token_hex(4)}"
    options = (*RESTRICTED[1:], "--network=host", *variables(minio.environment()))
    program = (
        f"import s3fs, json; fs = s3fs.S3FileSystem(endpoint_url='{minio.endpoint}'); "
        f"print(json.load(fs.open('{bucket}/out/there/manifest.json'))['accuracy'] > 0.8, "
        f"fs.ls('{bucket}/events') != [])"
    )
    settings = f"--data s3://{bucket}/fruits --out s3://{bucket}/out --run-name there --event-log s3://{bucket}/events"
    commands = (
        "fruits sample pictures --train-images 45 --test-images 21",
        f"fruits upload pictures s3://{bucket}/fruits --create-bucket",
        f"fruits run {settings}",
        f'python -c "{program}"',
    )
    answer = run("bash", "-c", " && ".join(commands), options=options).succeeded()
    assert answer.out.split()[-2:] == ["True", "True"]


def test_jupyterlab_answers_and_its_kernel_runs_a_session() -> None:
    home = ("--tmpfs=/home/spark:rw,mode=1777",)
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8888/{}', timeout=10).read().decode())"
    arguments = ("jupyter", "lab", "--ip=127.0.0.1", "--port=8888", "--no-browser", "--IdentityProvider.token=")
    with running(*arguments, options=(*RESTRICTED, *home)) as name:
        until(60, "JupyterLab", lambda: tool("exec", name, "python", "-c", ask.format("api/status")).returncode == 0)
        assert "JupyterLab" in python(name, ask.format("lab"))
        assert '"python3"' in python(name, ask.format("api/kernelspecs"))
    cell = (
        "from pyspark.sql import SparkSession\ns = SparkSession.builder.master('local[1]').getOrCreate()\n"
        "s.range(7).toPandas().shape"
    )
    program = (
        "import nbformat.v4 as v; from nbclient import NotebookClient; "
        f"book = v.new_notebook(cells=[v.new_code_cell({cell!r})]); "
        "NotebookClient(book, kernel_name='python3').execute(); "
        "print(book.cells[0].outputs[-1]['data']['text/plain'])"
    )
    assert run("python", "-c", program, options=(*RESTRICTED, *home)).succeeded().out.strip() == "(7, 1)"
