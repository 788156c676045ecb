"""The report in a real browser: no script errors, no requests."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from absent import absent
from running import results
from test_tuning import content  # noqa: F401  (a fixture)

from job.report import predictions, tuning
from job.report.html import Pictures, render

PICTURE = Path(__file__).parents[2] / "docs" / "report.png"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000"),
    # The browser's own calls home get nowhere; what a page asks for is in the log all the same.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@pytest.fixture(scope="session")
def chromium():
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        absent("no Chromium on this machine: install one to see the report as a browser does")
    return found


@pytest.fixture
def visit(chromium, tmp_path):
    def visited(source):
        """The page's text after loading, its console messages, and the addresses it asked for."""
        page, log = tmp_path / "report.html", tmp_path / "net.json"
        page.write_text(source, encoding="utf-8")
        profile = tmp_path / "profile"
        command = [chromium, *FLAGS, f"--user-data-dir={profile}", f"--log-net-log={log}", "--dump-dom", page.as_uri()]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=400, check=True)
        messages = re.findall(r':CONSOLE[:(]\d+\)?\] "(.*)", source', answer.stderr)
        return answer.stdout, messages, requests_of_pages(json.loads(log.read_text()))

    return visited


def ink(picture, rows=60, columns=40):
    """How dark each part of a picture is, as one long row."""
    grey = 255.0 - cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA).ravel()


def requests_of_pages(log):
    """Addresses outside this machine's files that a page, not the browser itself, asked for."""
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event.get("params", {}) for event in log["events"] if event["type"] == start]
    of_pages = [params["url"] for params in asked if "url" in params and params.get("initiator") != "not an origin"]
    return [url for url in of_pages if not url.startswith(("file:", "data:"))]


def test_the_report_loads_without_errors_and_without_asking_for_anything(visit, manifest, result_tables, pictures):
    seen, messages, asked = visit(render(manifest, result_tables, pictures))
    assert "Confusion matrix" in seen
    assert "<title>fruits run 2026-01-02T03-04-05Z</title>" in seen
    assert messages == []
    assert asked == []


def test_the_picture_in_the_readme_is_of_the_report_of_the_generated_sample(chromium, shared, tmp_path):
    """FRUITS_PICTURE=docs/report.png makes it anew."""
    assert shared("run", "--out", tmp_path / "out").code == 0
    report, taken = results(tmp_path / "out").folder / "report.html", tmp_path / "report.png"
    look = ("--hide-scrollbars", "--window-size=1000,1350", "--force-device-scale-factor=1", f"--screenshot={taken}")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    subprocess.run([chromium, *FLAGS, *look, profile, report.as_uri()], capture_output=True, timeout=400, check=True)
    kept = Path(os.environ.get("FRUITS_PICTURE") or PICTURE)
    if "FRUITS_PICTURE" in os.environ:
        shutil.copy(taken, kept)
    here, there = (cv2.imread(str(path)) for path in (taken, kept))
    assert here.shape == there.shape == (1350, 1000, 3)
    # fonts of another machine and other seconds change little of where there is how much ink
    assert np.corrcoef(ink(here), ink(there))[0, 1] > 0.8
    assert "(docs/report.png)" in PICTURE.parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_the_page_of_a_comparison_loads_without_errors_and_without_asking_for_anything(visit, content):  # noqa: F811
    seen, messages, asked = visit(tuning.render(content))
    assert "Accuracy and cost" in seen
    assert "<title>fruits tune monday</title>" in seen
    assert (messages, asked) == ([], [])


def test_the_page_of_a_batch_loads_without_errors_and_without_asking_for_anything(
    visit,
    batch_manifest,
    batch_tables,
):
    seen, messages, asked = visit(predictions.render(batch_manifest, batch_tables, []))
    assert "Worst mistakes" in seen
    assert "<title>fruits predict monday " in seen
    assert (messages, asked) == ([], [])


def test_this_browser_would_have_shown_errors_and_requests(visit):
    source = "<!DOCTYPE html><title>x</title><img src='http://127.0.0.1:9/picture.png'><script>nonsense()</script>"
    _, messages, asked = visit(source)
    assert any("nonsense is not defined" in message for message in messages)
    assert asked == ["http://127.0.0.1:9/picture.png"]


def test_the_page_itself_forbids_scripts_and_requests(visit):
    planted = "<img src='http://127.0.0.1:9/picture.png'><script>document.title = 'broken'</script>"
    source = render({"run_name": "x"}, {}, Pictures()).replace("<main>", f"<main>{planted}")
    seen, messages, asked = visit(source)
    assert "<title>fruits run x</title>" in seen
    assert asked == []
    assert any("Content Security Policy" in message for message in messages)
