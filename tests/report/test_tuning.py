"""The page of `fruits tune`, with 119 categories and 50 candidates, some of which failed or were dropped."""

import re

import numpy as np
import pytest
from test_html import Page

from job.report import tuning

CANDIDATES, CATEGORIES = 50, 119


def _row(place, evil):
    random = np.random.default_rng(place)
    accuracy = 0.99 - 0.01 * place
    status = {45: "failed", 46: "unfinished", 47: "dropped"}.get(place, "done")
    there = status in ("done", "dropped")
    difference = {
        f"minus_{name}{end}": -0.01 * place + more if there and place != own else None
        for name, own in (("default", 1), ("hsv", 3))
        for end, more in (("", 0.0), ("_low", -0.02), ("_high", 0.02))
    }
    return {
        "rank": place + 1,
        "candidate": evil if place == 2 else f"soft-hsv+lbp+patches:patches:{place + 2}/lda/strong",
        "status": status,
        "rung": 1 if there else None,
        "pictures": 1000 if there else None,
        "accuracy": accuracy if there else None,
        "low": accuracy - 0.02 if there else None,
        "high": min(1.0, accuracy + 0.02) if there else None,
        "standard_error": 0.01 if there else None,
        **difference,
        "fit_seconds": 1.5 if there else None,
        "ms_per_picture": 0.2 * 1.07**place if there else None,
        "model_bytes": 123456 if there else None,
        "winner": place == 0,
        "default": place == 1,
        "hsv": place == 3,
        "pareto": place in (0, 1),
        "said": "The toy is broken." if status == "failed" else "",
        "by_fold": [accuracy] * 5 if there else [],
        "by_category": random.random(CATEGORIES).tolist() if there else [],
    }


@pytest.fixture
def content(evil):
    rows = [_row(place, evil) for place in range(CANDIDATES)]
    test = {"round": "standard", "split": "test", "pictures": 500, "accuracy": 0.97, "low": 0.95, "high": 0.99}
    return {
        "run_name": "monday",
        "settings": {"data": "s3://key:hush@bucket/fruits", "seed": 123, "categories": []},
        "arguments": {"folds": 5, "group_by": None},
        "versions": {"python": "3.11"},
        "cores": 4,
        "pictures": 4000,
        "rejected": 0,
        "categories": [f"Category {number}" for number in range(CATEGORIES - 1)] + [evil],
        "folds": {"count": 5, "grouped_by": "frames", "groups": 600, "pictures": [800] * 5},
        "rungs": [
            {"pictures": 1000, "candidates": 49, "dropped": [evil]},
            {"pictures": 4000, "candidates": 9, "dropped": []},
        ],
        "extractions": [{"pictures": 4000, "descriptors": ["hsv"], "copies": ["mild"], "disturbance": None}],
        "words": "Learned once.",
        "route": "tasks",
        "default": rows[1]["candidate"],
        "hsv": rows[3]["candidate"],
        "same": {"a": "b"},
        "rule": "The cheapest.",
        "winner": {
            "candidate": rows[0]["candidate"],
            "features": "soft-hsv:fourth-root",
            "classifier": "lda",
            "augment": "off",
            "test": [test],
            "command": "fruits run --config best.toml --data '<b>'",
        },
        "candidates": rows,
        "unfinished": [rows[46]["candidate"]],
        "failed": {rows[45]["candidate"]: "The toy is broken."},
        "effects": [
            {"setting": "classifier", "value": "lda", "candidates": 9, "accuracy": 0.9, "effect": 0.05},
            {"setting": "classifier", "value": evil, "candidates": 3, "accuracy": 0.85, "effect": -0.05},
        ],
        "seconds": {"total": 75.0},
    }


@pytest.fixture
def source(content):
    return tuning.render(content)


def test_the_page_is_well_formed_and_has_every_candidate_and_category(source, content):
    page = Page(source)
    for row in content["candidates"]:
        assert row["candidate"] in page.text
    for name in content["categories"]:
        assert name in page.text
    assert "The other 89 categories" in page.text
    assert "The budget was over before 1 of the candidates" in page.text
    assert "failed: The toy is broken." in page.text
    assert "a is b" in page.text


def test_of_several_rounds_the_top_shows_the_mean_and_the_range(content):
    (one,) = content["winner"]["test"]
    blur = {**one, "round": "robustness", "split": "blur", "accuracy": 0.77}
    content["winner"]["test"] = [one, blur]
    text = Page(tuning.render(content)).text
    assert "winner, test pictures 87.0 % mean of 2, 77.0 % to 97.0 %" in text
    assert text.count("blur") == 1  # in the table of rounds alone


def test_the_page_asks_for_nothing_and_runs_nothing(source, evil):
    assert evil not in source
    assert "<script" not in source
    assert not re.findall(r'(?:src|href)="(?!#|data:)', source)
    assert "default-src 'none'" in source


def test_wide_things_scroll_and_figures_keep_their_size(source):
    # on a phone a page as wide as a table could not be read
    body = source[source.index("<main>") :]
    for table in re.finditer(r"<table(?! class=\"facts\")", body):
        assert re.search(r'<div class="scroll"[^>]*>\s*$', body[: table.start()]), body[table.start() :][:80]
    figures = re.findall(r'<figure class="scroll"[^>]*><svg class="figure natural" viewBox="0 0 (\d+)', body)
    assert figures == ["860"]
    smallest = min(int(size) for size in re.findall(r'font-size="(\d+)"', body))
    assert smallest >= 12


def test_a_secret_in_an_address_is_not_shown(source):
    assert "hush" not in source


def test_the_winners_worst_categories_come_first(source, content):
    table = source[source.index('<section id="categories">') :]
    values = [float(value) for value in re.findall(r'<tr><td>[^<]*</td><td class="n">([\d.]+) %', table)]
    assert len(values) == CATEGORIES
    assert values == sorted(values)


def test_a_mark_stands_where_accuracy_and_cost_say(content):
    figure = tuning.pareto(content["candidates"])
    marks = re.findall(r'<circle class="[^"]*" cx="([\d.]+)" cy="([\d.]+)"[^>]*><title>(\d+)\.', figure)
    places = {int(rank): (float(x), float(y)) for x, y, rank in marks}
    assert len(places) == 47  # the winner is a diamond, and two have no figures
    ranks = sorted(places)
    assert [places[rank][0] for rank in ranks] == sorted(places[rank][0] for rank in ranks)
    assert [places[rank][1] for rank in ranks] == sorted(places[rank][1] for rank in ranks)


def test_no_rank_stands_on_a_mark_or_on_another_rank_and_none_is_behind_an_interval(content):
    random = np.random.default_rng(0)
    rows = [row for row in content["candidates"] if row["accuracy"] is not None]
    for row in rows:  # a cloud, as candidates that are alike make it
        row["ms_per_picture"] = float(np.exp(random.normal(0.7, 0.3)))
        row["accuracy"] = 0.97 + 0.01 * random.normal()
    figure = str(tuning.pareto(rows))
    ranks = re.findall(r'class="value rank" x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+)<', figure)
    marks = [(float(x), float(y)) for x, y in re.findall(r'<circle [^>]*cx="([\d.]+)" cy="([\d.]+)"', figure)]
    boxes = [(float(x), float(y) - 9, float(x) + 6.5 * len(rank), float(y)) for x, y, rank in ranks]
    assert len(boxes) > len(rows) / 2
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert not any(left - 5 < x < right + 5 and top - 5 < y < bottom + 5 for x, y in marks)
        for other in boxes[:place]:
            assert left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom
    assert figure.rindex('class="span"') < figure.index('class="value rank"')


def test_a_name_breaks_at_its_joints_alone():
    assert tuning.breakable("soft-hsv+lbp:root/<lda>") == "soft-hsv+<wbr>lbp:<wbr>root/<wbr>&lt;lda&gt;"


def test_where_all_is_right_the_axis_has_a_length_and_the_page_says_what_no_width_means(content):
    for row in content["candidates"]:
        if row["accuracy"] is not None:
            row.update(accuracy=1.0, low=1.0, high=1.0)
    found = tuning.bars(content["candidates"])
    assert found["least"] == 0.95
    assert {middle for _, _, _, middle, _ in found["rows"]} == {100.0}
    assert "not that there will be none" in Page(tuning.render(content)).text


def test_numbers_of_marks_at_the_same_place_are_beside_each_other(content):
    row = content["candidates"][1]
    figure = tuning.pareto([{**row, "rank": rank} for rank in (1, 2, 3)])
    places = re.findall(r'class="value rank" x="([\d.]+)" y="([\d.]+)"', figure)
    assert len(set(places)) == 3


def test_candidates_without_figures_draw_nothing():
    assert tuning.pareto([]) == ""
    assert tuning.bars([])["rows"] == []


def test_an_interval_lies_where_its_shares_say(content):
    found = tuning.bars(content["candidates"])
    assert found["least"] == pytest.approx(0.45)
    assert len(found["rows"]) == 48
    for row, low, high, middle, _ in found["rows"]:
        for place, share in ((low, row["low"]), (high, row["high"]), (middle, row["accuracy"])):
            assert place == pytest.approx(100 * (share - 0.45) / 0.55, abs=0.01)
    kinds = [kind for *_, kind in found["rows"]]
    assert kinds[:4] == ["winner", "default", "other", "hsv"]
    assert kinds.count("other early") == 1


def test_points_are_signed_and_missing_ones_are_a_dash():
    assert (tuning.points(0.0134), tuning.points(-0.2), tuning.points(None)) == ("+1.3", "-20.0", "-")
