"""The work of the product, done inside the image, with no more rights than a restricted pod has."""

import csv
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from absent import absent
from containers import RESTRICTED, ROOT, python, run, running, tool, until
from running import QUICK, Shared
from test_image_entrypoint import STRANGER, variables

if TYPE_CHECKING:
    from s3_servers import Server

FRUITS = ROOT.parent / "shared" / "fruits-360"
DESCRIPTORS = ("sift", "rootsift", "orb", "surf")
# The program that tries what is used of Spark, on a JVM that is compiled as a driver's is.
FEATURES = ("-v", f"{Path(__file__).with_name('features.py')}:/features.py:ro", f"--env=JDK_JAVA_OPTIONS={QUICK}")
EVERY_DESCRIPTOR = (
    "--features",
    "+".join(f"{name}:counts:30" for name in DESCRIPTORS),
    "--classifier",
    "logistic",
    "--components",
    "20",
    "--run-name",
    "every",
)


def manifest(folder: Path) -> dict[str, Any]:
    (found,) = folder.rglob("manifest.json")
    content: dict[str, Any] = json.loads(found.read_text())
    return content


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in folder.rglob("*") if path.is_file()}


def test_the_main_job_on_the_sample_leaves_its_results_in_a_mounted_folder(results: Path) -> None:
    run("run", options=(*RESTRICTED, "-v", f"{results}:/opt/spark/work-dir/out")).succeeded()
    assert manifest(results)["accuracy"] >= 0.9  # type: ignore[operator]
    assert owners(results) == {185}


def test_a_folder_that_cant_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    answer = run("run", options=(*RESTRICTED, "-v", f"{tmp_path}:/opt/spark/work-dir/out"))
    assert (answer.code, answer.err.count("\n")) == (1, 1), answer.err
    assert "out" in answer.err


@pytest.fixture(scope="module")
def outside(shared: Shared, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on this machine leaves that describes pictures by every local descriptor."""
    out = tmp_path_factory.mktemp("outside")
    answer = shared("run", "--data", pictures, "--out", out, *EVERY_DESCRIPTOR)
    assert answer.code == 0, answer.err
    for path in (out, *out.rglob("*")):
        path.chmod(0o755)
    return out / "every"


def test_every_descriptor_gives_what_it_gives_outside(outside: Path, pictures: Path, results: Path) -> None:
    options = (*RESTRICTED, "-v", f"{pictures}:/data:ro", "-v", f"{results}:/results")
    run("run", "--data", "/data", "--out", "/results", *EVERY_DESCRIPTOR, options=options).succeeded()
    assert manifest(results)["recipe"]["blocks"] == [f"{name}:counts:30" for name in DESCRIPTORS]
    for table in ("bag_of_words_train.csv", "bag_of_words_test.csv"):
        assert (results / "every" / table).read_text() == (outside / table).read_text()
    with (results / "every" / "predictions.csv").open() as inside, (outside / "predictions.csv").open() as here:
        assert [row["predicted_cat"] for row in csv.DictReader(inside)] == [
            row["predicted_cat"] for row in csv.DictReader(here)
        ]


def test_the_main_job_on_real_pictures_mounted_into_it_by_a_user_without_a_name(results: Path) -> None:
    if not FRUITS.is_dir():
        absent("no real pictures beside the project")
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
        "--augment",
        "off",
        options=(*RESTRICTED, *STRANGER, "-v", f"{FRUITS}:/data:ro", "-v", f"{results}:/results"),
    ).succeeded()
    assert owners(results) == {54321}
    found = manifest(results)
    assert found["dataset"]["train"]["images"] == 90
    assert found["accuracy"] >= 0.8  # type: ignore[operator]


def test_a_model_saved_outside_is_loaded_inside(outside: Path) -> None:
    program = (
        "from pyspark.sql import SparkSession; from pyspark.ml import PipelineModel; "
        "s = SparkSession.builder.master('local[1]').getOrCreate(); "
        "print([type(stage).__name__ for stage in PipelineModel.load('/model').stages])"
    )
    answer = run("python", "-c", program, options=(*RESTRICTED, "-v", f"{outside}/model:/model:ro")).succeeded()
    assert "VisualVocabulary" in answer.out


def test_everything_that_the_product_uses_of_spark_still_works() -> None:
    answer = run(
        "python",
        "/features.py",
        timeout=900,
        options=(*RESTRICTED, *FEATURES),
    )
    assert answer.succeeded().out.splitlines()[-1] == "ok all"


def test_sparks_own_way_to_s3_works(minio: "Server") -> None:
    bucket = minio.bucket()
    answer = run(
        "python",
        "/features.py",
        "--only-s3",
        minio.endpoint,
        bucket,
        timeout=900,
        options=(*RESTRICTED[1:], *FEATURES, "--network=host", *variables(minio.environment())),
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
    settings += " --preset fast"
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
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8888/{}', timeout=100).read().decode())"
    arguments = ("jupyter", "lab", "--ip=127.0.0.1", "--port=8888", "--no-browser", "--IdentityProvider.token=")
    with running(*arguments, options=(*RESTRICTED, *home)) as name:
        until(240, "JupyterLab", lambda: tool("exec", name, "python", "-c", ask.format("api/status")).returncode == 0)
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
