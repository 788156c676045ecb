import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from job.report import blocks, figures, tables
from job.report.html import MAP_POINTS, Figure, Pictures, render

VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}
LOADING = {"src", "href", "srcset", "data", "poster", "action", "xlink:href"}


class Page(HTMLParser):
    """Every tag, attribute and text of a page; closing tags must match."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.goes_on = False  # a line may break at <wbr>, but no word ends there
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.goes_on = tag == "wbr"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.goes_on:
            self.texts[-1] += data
        else:
            self.texts.append(data)
        self.goes_on = False

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def source(manifest, result_tables, pictures):
    return render(manifest, result_tables, pictures)


@pytest.fixture
def page(source):
    return Page(source)


def test_the_page_is_well_formed_and_has_every_part(page):
    for part in (
        *("Confusion matrix", "Most often confused", "Categories", "Worst mistakes", "Keypoints", "Visual words"),
        *("Visual words of patches", "Colours of", "Values of lbp", "Protocol"),
        *("Map of the pictures", "Seconds per operation", "Beside the 2020 prototype", "Task analysis"),
        *("Pictures that could not be used", "Settings", "Versions", "Partitions"),
    ):
        assert part in page.text
    assert page.tags.count("svg") >= 4


def test_the_page_loads_nothing_from_anywhere(page, source):
    loaded = [value for _, name, value in page.attributes if name in LOADING]
    assert loaded
    assert all(value.startswith(("data:", "#")) for value in loaded)
    assert not {"script", "iframe", "object", "embed"} & set(page.tags)
    assert "url(" not in source
    assert "@import" not in source


def test_on_a_phone_tables_scroll_by_themselves_and_words_of_broad_figures_keep_their_size(source):
    body = source[source.index("<main>") :]
    tables = [table.start() for table in re.finditer(r"<table(?! class=\"facts\")", body)]
    assert len(tables) > 5
    for start in tables:
        assert re.search(r'<div class="scroll"[^>]*>\s*$', body[:start]), body[start:][:80]
    for kinds, width in re.findall(r'<svg class="figure([^"]*)" viewBox="0 0 (\d+)', body):
        assert int(width) <= 640 or kinds.strip() in ("natural", "broad"), width
    assert re.search(r"max-width: 640px\) \{[^@]*svg\.figure\.broad \{ max-width: none; \}", source)


def test_a_script_in_a_category_name_stays_text(page, source, evil):
    assert "<script" not in source.lower()
    assert evil in page.text
    assert any(name == "alt" and evil in value for _, name, value in page.attributes)


def test_each_picture_and_figure_says_what_it_is(page, source):
    assert [tag for tag in page.tags if tag == "img"]
    images = re.findall(r"<img [^>]*>", source)
    assert all(" alt=" in image for image in images)
    # Patches are described by their row.
    assert page.attributes.count(("img", "alt", "")) == source.count('class="word"') + 1
    figures_found = re.findall(r'<svg class="figure[^>]*>', source)
    assert figures_found
    assert all('role="img"' in figure and "aria-label=" in figure for figure in figures_found)


def test_a_mistake_stands_beside_the_nearest_training_picture(page, manifest, result_tables, evil):
    assert "on the right the training picture whose features are nearest" in page.text
    assert ("img", "alt", f"nearest: {evil}") in page.attributes
    alone = Page(render(manifest, result_tables, Pictures(mistakes=[Figure("Lemon taken for Kiwi", b"")]))).text
    assert "nearest" not in alone
    assert "Lemon taken for Kiwi" in alone


def test_a_block_says_how_many_of_its_words_are_shown(page):
    assert "2 of 50 words are shown" in page.text
    assert "2 of 512 words are shown" in page.text


def test_rounds_of_a_protocol_have_intervals_and_differences_beside_each_other(page, manifest, source):
    for cell in ("90.0 % 85.0 to 95.0", "+10.0 +8.0 to +13.0", "-5.0 -7.0 to -2.0", "0.031"):
        assert cell in page.text
    assert "this run less histogram of colours" in page.text
    # an interval and a point for each model of each round
    figure = re.search(r'<section id="protocol">.*?<svg class="figure broad".*?</svg>', source, re.DOTALL)[0]
    assert figure.count('<line class="span"') == 4
    del manifest["protocol"]
    assert "Protocol" not in Page(render(manifest, {}, Pictures())).text


def test_a_model_that_measured_nothing_in_a_round_or_was_left_out_of_it_has_no_mark_there(manifest):
    figures = ("accuracy", "low", "high", "difference", "difference_low", "difference_high", "calibration_error")
    manifest["protocol"][1] |= {"pictures": 0, **dict.fromkeys(figures)}
    del manifest["protocol"][3]
    source = render(manifest, {}, Pictures())
    assert "90.0 % 85.0 to 95.0 not measured" in Page(source).text
    assert "this run less" not in Page(source).text
    figure = re.search(r'<section id="protocol">.*?<svg class="figure broad".*?</svg>', source, re.DOTALL)[0]
    assert figure.count('<line class="span"') == 2


def test_no_secret_reaches_the_page(source):
    assert "hush" not in source
    assert "s3://bucket/fruits" in source


def test_the_rejected_are_counted_and_only_the_first_hundred_listed(page):
    assert "130: 130 truncated." in page.text
    assert "The first 100 of 130" in page.text
    assert "/99.jpg" in page.text
    assert "/100.jpg" not in page.text


def test_counts_that_do_not_add_up_are_pointed_out(manifest, result_tables, pictures, page):
    assert "do not add up" not in page.text
    manifest["dataset"]["test"] = {**manifest["dataset"]["test"], "rejected": 0}
    assert "test: described, without" in Page(render(manifest, result_tables, pictures)).text


def test_a_run_of_other_size_than_the_prototypes_is_not_called_faster(manifest, result_tables, pictures, page):
    assert "the work was not the same" in page.text
    assert "faster than EMR" not in page.text
    for split, images in (("train", 876), ("test", 292)):
        manifest["dataset"][split] = {**manifest["dataset"][split], "images": images}
    same = Page(render(manifest, result_tables, pictures)).text
    assert "the work was not the same" not in same
    # 500 s of four nodes over 12.5 s of this run.
    assert "40.0 x" in same


def test_a_run_without_classifier_has_no_result_part(manifest, result_tables):
    del manifest["accuracy"], manifest["protocol"]
    for name in ("confusion_matrix", "categories", "predictions"):
        del result_tables[name]
    page = Page(render(manifest, result_tables, Pictures()))
    assert "Confusion matrix" not in page.text
    assert "accuracy" not in page.text
    assert "Map of the pictures" in page.text


def test_a_page_of_nothing_is_still_a_page():
    assert "Images classified by visual words" in Page(render({}, {}, Pictures())).text


def test_every_link_inside_the_page_has_its_target(page):
    targets = {value for _, name, value in page.attributes if name == "id"}
    links = {value[1:] for tag, name, value in page.attributes if tag == "a" and name == "href"}
    assert links
    assert links <= targets


def features(rows, seed):
    order = np.random.default_rng(seed).permutation(rows)
    cats = np.array([f"category {row % 131}" for row in order])
    return pa.table({"ima": [f"{row}.jpg" for row in order], "cat": cats, "0": order * 1.0, "1": order % 7 * 1.0})


def test_the_map_draws_the_same_sample_whatever_the_order_of_the_rows():
    first, second = (render({}, {"df_lab_features_train": features(5000, seed)}, Pictures()) for seed in (1, 2))
    assert first == second
    drawn = re.search(r'<svg class="figure broad".*?</svg>', first, re.DOTALL)
    assert len(re.findall(r"<(?:circle|polygon) ", drawn[0])) == MAP_POINTS
    assert "2,000 of 5,000 pictures are drawn" in Page(first).text


@pytest.mark.parametrize("size", [1, 3, 12, 131])
def test_a_heat_map_has_a_square_for_each_pair_that_occurs_and_both_names_of_each_category(size):
    labels = [f"category {number}" for number in range(size)]
    draw = np.random.default_rng(size)
    true, predicted = draw.integers(0, size, 900), draw.integers(0, size, 900)
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (true, predicted), 1)
    svg = str(figures.confusion_map(counts, labels))
    Page(svg)
    assert svg.count('<rect class="right"') == np.count_nonzero(counts.diagonal())
    assert svg.count('<rect class="wrong"') == np.count_nonzero(counts) - np.count_nonzero(counts.diagonal())
    for label in labels:
        assert svg.count(f">{label}</text>") == 2


def test_a_point_of_the_map_stands_where_its_numbers_say():
    x, y = np.array([0.0, 10.0, 5.0]), np.array([0.0, 10.0, 5.0])
    svg = str(figures.scatter(x, y, np.zeros(3, np.int64), np.array([False, False, True]), ["Lemon"]))
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert places == [("30.0", "490.0"), ("830.0", "30.0"), ("430.0", "260.0")]
    assert "Lemon (test)" in svg


def test_bars_are_as_long_as_their_seconds():
    svg = str(figures.seconds_bars([("one", {"train": 2.0, "test": 1.0}), ("two", {"all": 6.0})]))
    widths = {kind: float(width) for kind, width in re.findall(r'<rect class="(\w+)"[^>]* width="([\d.]+)"', svg)}
    assert widths["train"] == pytest.approx(2 * widths["test"], abs=0.2)
    assert widths["all"] == pytest.approx(6 * widths["test"], abs=0.6)


def test_operations_that_took_no_time_at_all_are_drawn(manifest):
    timings = tables.timings_table([("read_images", "train", 0.0, None, None)])
    assert "read_images" in Page(render(manifest, {"timings": timings}, Pictures())).text


def test_a_strip_is_as_long_in_a_colour_as_its_share():
    palette = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    svg = str(figures.colour_strips([("Lemon", np.array([30.0, 10.0, 0.1]))], palette))
    found = re.findall(r'width="([\d.]+)" height="\d+" fill="(#\w+)"', svg)
    # blue has less than a two-hundredth
    assert [fill for _, fill in found] == ["#ff0000", "#00ff00"]
    assert float(found[0][0]) == pytest.approx(3 * float(found[1][0]), rel=1e-3)
    Page(str(figures.colour_strips([("nothing", np.zeros(3))], palette)))


def test_bars_of_a_value_have_one_scale_in_all_categories():
    svg = str(figures.profiles([("one", np.array([4.0, 1.0])), ("two", np.array([2.0, 1.0]))]))
    heights = [float(height) for height in re.findall(r'<rect class="train"[^>]* height="(\d+)"', svg)]
    assert heights == [36, 36, 18, 36]


def test_an_interval_reaches_from_its_low_end_to_its_high_end():
    svg = str(figures.intervals([("round", [("recipe", 0.5, 0.25, 1.0), None])], 2))
    left, right = (float(x) for x in re.search(r'class="span" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', svg).groups())
    middle = float(re.search(r'cx="([\d.]+)"', svg)[1])
    assert (middle - left) * 2 == pytest.approx(right - middle, abs=0.3)


def test_values_that_are_too_many_to_be_seen_are_not_drawn():
    assert blocks.values("x", [("Lemon", np.zeros(blocks.MOST_BARS + 1))], "a picture") is None
    assert blocks.values("x", [], "a picture") is None


def test_only_the_first_categories_are_drawn_and_it_says_so():
    many = [(f"category {number:03}", np.ones(2)) for number in range(40)]
    found = blocks.colours("hsv", many, np.zeros((2, 3), np.uint8), "a picture")
    assert "24 of 40 categories are shown" in found.note
    assert "category 023" in found.figure
    assert "category 024" not in found.figure
