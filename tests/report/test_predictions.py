"""The page of a batch of labelled pictures."""

import re

import pyarrow as pa
import pytest
from test_html import LOADING, Page

from job.report import predictions
from job.report.html import MISTAKES_SHOWN, REJECTED_SHOWN, Figure


@pytest.fixture
def source(batch_manifest, batch_tables, evil):
    return predictions.render(batch_manifest, batch_tables, [Figure(f"Lemon taken for {evil}", b"")])


@pytest.fixture
def page(source):
    return Page(source)


def test_the_page_of_a_batch_has_every_part_and_its_figures(page):
    for part in (
        *("Confusion matrix", "Most often confused", "Categories", "Worst mistakes", "What pictures were taken for"),
        *("Pictures that could not be used", "1 truncated", "Settings", "Versions", "Seconds"),
        *("60.0 % of 5 labelled pictures", "66.7 %", "40.0 to 90.0 (interval, 95 %)", "2 of 5 pictures were given"),
        *("4 more lie in such a folder", "All mistakes are in mistakes.csv", "cd" * 32, "ef" * 32, "bucket/model"),
    ):
        assert part in page.text, part
    assert "test pictures" not in page.text


def test_the_page_of_a_batch_loads_nothing_and_shows_names_as_text_and_no_secret(page, source, evil):
    loaded = [value for _, name, value in page.attributes if name in LOADING]
    assert loaded
    assert all(value.startswith(("data:", "#")) for value in loaded)
    assert "<script" not in source.lower()
    assert evil in page.text
    assert "hush" not in source


def test_on_a_phone_tables_of_a_batch_scroll_by_themselves(source):
    body = source[source.index("<main>") :]
    found = [table.start() for table in re.finditer(r"<table(?! class=\"facts\")", body)]
    assert len(found) == 5
    for start in found:
        assert re.search(r'<div class="scroll"[^>]*>\s*$', body[:start]), body[start:][:80]


def test_long_lists_of_a_batch_are_cut_and_say_where_the_rest_is(batch_manifest, batch_tables):
    many = 3 * REJECTED_SHOWN
    named = [f"Lemon/{number:04d}.jpg" for number in range(many)]
    wrong = {"ima": named, "cat": ["Lemon"] * many, "predicted_cat": ["Kiwi"] * many, "probability": [0.5] * many}
    batch_tables["mistakes"] = pa.table(wrong)
    batch_tables["rejected"] = pa.table({"path": named, "reason": ["truncated", "empty", "empty"] * REJECTED_SHOWN})
    batch_manifest["labelled"]["mistakes"] = 10 * many
    text = Page(predictions.render(batch_manifest, batch_tables, [])).text
    assert f"The surest {many} of {10 * many:,} mistakes are in mistakes.csv" in text
    assert f"The worst {MISTAKES_SHOWN} as a table" in text
    assert f"{many}: 200 empty, 100 truncated." in text
    assert f"The first {REJECTED_SHOWN} of {many}; all are in rejected.csv" in text


def test_without_a_mistake_the_page_of_a_batch_says_so(batch_manifest, batch_tables):
    batch_tables["mistakes"] = batch_tables["mistakes"].slice(0, 0)
    batch_manifest["labelled"]["mistakes"] = 0
    text = Page(predictions.render(batch_manifest, batch_tables, [])).text
    assert "0 of 5 pictures were given a wrong category" in text
    assert "Worst mistakes" not in text
