"""The notebook is executed, on this machine, and does the same work as `fruits run`."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Shared, clean_environment

from job import notebook
from job.notebook import Bars, Gallery, Work
from job.vision.sample import write_sample

NOTEBOOK = Path(notebook.__file__).with_name("notebooks") / "pipeline.ipynb"
SETTINGS = {"FRUITS_WORDS": "40", "FRUITS_MASTER": "local[2]", "FRUITS_MIN_PARTITIONS": "3"}
# What the test wants to know of the executed notebook, before its last cell stops the session.
ASKED = """
import json
rows = features["test"].select("ima", "features").toPandas()
Path("found.json").write_text(json.dumps({
    "inertia": found.inertia, "iterations": found.iterations, "accuracy": accuracy,
    "features": {ima: list(map(float, values)) for ima, values in zip(rows["ima"], rows["features"])}}))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_sample(folder, categories=3, train_images=45, test_images=24)
    return folder


@pytest.fixture(scope="module")
def executed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """The notebook with its outputs, and what the test asked it."""
    # each process that collects tests would be seconds at nbformat's checks of addresses
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    document = nbformat.read(NOTEBOOK, as_version=4)
    document.cells.insert(-1, nbformat.v4.new_code_cell(ASKED))
    client = NotebookClient(document, timeout=400, resources={"metadata": {"path": str(folder)}})
    client.execute(env=clean_environment(**SETTINGS, FRUITS_DATA=str(pictures), FRUITS_OUT="out"))
    return document, json.loads((folder / "found.json").read_text())


@pytest.fixture(scope="module")
def run(shared: Shared, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `fruits run` leaves with the same settings."""
    folder = tmp_path_factory.mktemp("run")
    given = ("--preset", "sift", "--words", 40, "--min-partitions", 3)
    answer = shared("run", "--data", pictures, "--out", folder, "--run-name", "one", *given)
    assert answer.code == 0, answer.err
    return folder / "one"


def test_the_notebook_is_stored_without_outputs() -> None:
    import nbformat

    document = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(document)
    for cell in document.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_every_cell_runs_and_shows_the_progress_of_its_jobs(executed: tuple[Any, dict[str, Any]]) -> None:
    shown = [
        output["data"]
        for cell in executed[0].cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "display_data" and "tasks" in output["data"].get("text/plain", "")
    ]
    assert len(shown) >= 5
    for data in shown:
        assert "Spark: " in data["text/plain"]
        assert "<progress max=" in data["text/html"]
        assert "ipykernel" not in data["text/plain"]


def test_pictures_are_shown(executed: tuple[Any, dict[str, Any]]) -> None:
    pictures = [
        output["data"]["text/html"]
        for cell in executed[0].cells
        for output in cell.get("outputs", [])
        if "<figure" in output.get("data", {}).get("text/html", "")
    ]
    assert len(pictures) == 2
    assert all(picture.count("<img") == 3 for picture in pictures)


def test_it_does_the_same_work_as_the_command(executed: tuple[Any, dict[str, Any]], run: Path) -> None:
    found, manifest = executed[1], json.loads((run / "manifest.json").read_text())
    assert found["inertia"] == manifest["vocabulary"]["inertia"]
    assert found["iterations"] == manifest["vocabulary"]["iterations"]
    assert found["accuracy"] == pytest.approx(manifest["accuracy"], abs=1e-12)
    with (run / "df_lab_features_test.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert sorted(found["features"]) == [row[0] for row in rows]
    for row in rows:
        np.testing.assert_allclose(found["features"][row[0]], [float(value) for value in row[3:]], atol=1e-6)


def test_bars_say_how_many_tasks_are_done_run_and_failed() -> None:
    bars = Bars([Work("fit", 8, 5, 2, 1), Work("a < b", 1, 1, 0, 0)], 2, 3.25)
    assert repr(bars).splitlines() == [
        "fit: 5 of 8 tasks, 2 running, 1 failed",
        "a < b: 1 of 1 tasks",
        "Spark: 2 jobs, 6 tasks, 3.2 s",
    ]
    assert "<progress max='8' value='5'>" in bars._repr_html_()
    assert "a &lt; b" in bars._repr_html_()


def test_a_gallery_is_html_and_without_it_captions() -> None:
    gallery = Gallery([("one & two", b"\x89PNG")], width=90)
    assert repr(gallery) == "one & two"
    assert "<figcaption>one &amp; two</figcaption>" in gallery._repr_html_()
    assert "width='90'" in gallery._repr_html_()
