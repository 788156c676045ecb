"""What the report says of the data, of probabilities, and of what more pictures would give."""

import re
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from test_html import Page

from job.learn.issues import KINDS
from job.report import curves, diagram, findings
from job.report.html import Pictures, render


@pytest.fixture
def page(manifest, result_tables, pictures):
    return Page(render(manifest, result_tables, pictures))


def section(source, name):
    return re.search(rf'<section id="{name}">.*?</section>', source, re.DOTALL)[0]


# ---- leaks and issues


def test_a_leak_is_said_before_everything_else(manifest, result_tables, pictures):
    source = render(manifest, result_tables, pictures)
    head = Page(re.search("<header>.*?</header>", source, re.DOTALL)[0]).text
    assert "The test pictures are not new. 2 of 5 are copies of training pictures" in head
    assert "an accuracy of 60.0 % may say too much; without them it is 50.0 %." in head
    manifest["data_issues"]["leaks"] = 1
    assert "1 of 5 is a copy of a training picture" in Page(render(manifest, result_tables, pictures)).text
    manifest["data_issues"]["leaks"] = 0
    assert "not new" not in render(manifest, result_tables, pictures)


def test_frames_of_the_videos_that_were_learned_from_are_said_at_the_top(manifest, result_tables, pictures):
    source = render(manifest, result_tables, pictures)
    head = Page(re.search("<header>.*?</header>", source, re.DOTALL)[0]).text
    assert "4 of 5 are by name and look frames of the same videos as training pictures" in head
    assert "--protocol rotation" not in head
    del manifest["protocol"]
    assert "--protocol rotation" in render(manifest, result_tables, pictures)
    manifest["data_issues"]["frames"] = 0
    assert "same videos" not in render(manifest, result_tables, pictures)


def test_a_leak_without_a_classifier_says_nothing_of_accuracy(manifest, result_tables):
    del manifest["accuracy"], manifest["accuracy_without_leaks"]
    said = Page(render(manifest, {"data_issues": result_tables["data_issues"]}, Pictures())).text
    assert "2 of 5 are copies of training pictures. Which they are" in said


def test_each_kind_of_issue_has_its_rows_and_a_kind_without_any_is_named(page, manifest, result_tables, pictures, evil):
    part = Page(section(render(manifest, result_tables, pictures), "issues"))
    for said in ("Likely wrong labels: 1", "Near-duplicates: 2", "Categories that overlap: 1"):
        assert said in part.text
    assert "Nothing was found of: outliers, categories with too few pictures." in part.text
    assert "Of 9,999 pictures a sample was seen." in part.text
    assert f"Training/{evil}/1.jpg Lemon {evil} train 0.990" in part.text
    assert ("img", "alt", f"Lemon: {evil}.jpg") in part.attributes
    assert ("img", "alt", f"twin {evil}") in part.attributes


def test_a_kind_from_outside_is_in_the_page(manifest):
    KINDS.add("toy", SimpleNamespace(name="toy", title="Toys", note="No fruit."))
    try:
        row = {"kind": "toy", "split": "train", "ima": "a.jpg", "cat": "Lemon", "score": 0.5}
        table = pa.Table.from_pylist([row | {"suggested": None, "other": None}])
        said = Page(render(manifest, {"data_issues": table}, Pictures())).text
    finally:
        KINDS.remove("toy")
    assert "Toys: 1 No fruit." in said
    assert "picture category split score a.jpg Lemon train 0.500" in said


def test_of_many_issues_the_first_are_shown(manifest):
    rows = [
        {
            "kind": "label",
            "split": "train",
            "ima": f"{n}.jpg",
            "cat": "a",
            "score": 0.9,
            "suggested": "b",
            "other": None,
        }
        for n in range(500)
    ]
    said = Page(render(manifest, {"data_issues": pa.Table.from_pylist(rows)}, Pictures())).text
    assert f"The first {findings.SHOWN} of 500; all are in data_issues.csv" in said
    assert f"{findings.SHOWN - 1}.jpg" in said
    assert f" {findings.SHOWN}.jpg" not in said


def test_a_page_without_issues_has_no_such_part(manifest):
    assert 'id="issues"' not in render({"run_name": "x"}, {}, Pictures())


# ---- the recipe


def test_the_recipe_is_drawn_from_picture_to_classifier(manifest):
    rows = diagram.rows_of(manifest["recipe"], 3)
    assert [[box.title for box in row] for row in rows][:2] == [["picture"], ["changed copies"]]
    assert len(rows[2]) == 3
    assert rows[2][2] == diagram.Box("patches", "patches, 512 words")
    assert [row[0].title for row in rows[3:]] == ["scaling", "classifier lda"]
    drawn = str(diagram.recipe(rows))
    Page(drawn)
    assert drawn.count("<rect") == sum(map(len, rows))
    assert drawn.count("<polygon") == sum(map(len, rows)) - 1


def test_a_recipe_without_classifier_or_blocks_is_drawn_as_far_as_it_goes():
    rows = diagram.rows_of({"blocks": [], "mask": False, "components": 35})
    assert [[box.title for box in row] for row in rows] == [["picture"], ["principal components"]]
    assert diagram.recipe([]) == ""


# ---- probabilities


def test_bins_hold_every_prediction_at_its_probability():
    sure = np.array([0.1, 0.95, 0.99, 1.0, 0.5])
    found = curves.bins(sure, np.array([True, True, True, False, False]))
    assert [one.predictions for one in found] == [1, 1, 3]
    assert found[-1].sure == pytest.approx(np.mean([0.95, 0.99, 1.0]))
    assert found[-1].right == pytest.approx(2 / 3)


def test_a_point_of_the_reliability_curve_stands_where_its_numbers_say():
    drawn = str(curves.reliability([curves.Bin(0.5, 1.0, 10), curves.Bin(1.0, 0.0, 40)]))
    places = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    frame = re.search(r'<rect class="paper" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawn)
    x, y, width, height = map(float, frame.groups())
    assert places == [(x + width / 2, y), (x + width, y + height)]
    radii = [float(r) for r in re.findall(r' r="([\d.]+)"', drawn)]
    assert radii[0] < radii[1]


def test_the_page_says_how_far_probabilities_can_be_believed(page):
    assert "Can the probabilities be believed?" in page.text
    assert "is 0.012." in page.text


def test_second_guesses_are_counted_and_shown_beside_mistakes(page, evil):
    assert "In 1 of 2 wrong answers the second guess is right." in page.text
    assert "the first guess of 60.0 %, among the first 2 of 80.0 %, among the first 3 of 100.0 %" in page.text
    assert "Lemon (right) 15.0 %" in page.text


# ---- learning curve


def test_the_learning_curve_has_a_point_and_a_row_for_each_number_of_pictures(manifest, result_tables):
    source = section(render(manifest, result_tables, Pictures()), "result")
    assert "80.0 % 75.0 to 85.0" in Page(source).text
    found = [curves.Step(each, 3 * each, 0.5, 0.4, 0.6) for each in (1, 10, 100)]
    drawn = str(curves.learning(found))
    x = [float(place) for place in re.findall(r'cx="([\d.]+)"', drawn)]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert "Learning curve" not in render(manifest, {}, Pictures())


def test_a_curve_of_one_point_can_be_drawn():
    Page(str(curves.learning([curves.Step(1, 3, 1.0, 1.0, 1.0)])))
    assert curves.learning([]) == curves.reliability([]) == ""
