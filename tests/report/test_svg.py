"""Pieces of figures: what they are, and that no text from outside gets out of its place."""

import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from job.report import svg

HOSTILE = '"><script>&\x1b[31m'


@pytest.mark.parametrize(
    "piece",
    [
        svg.words(1, 2, HOSTILE, "label", "end"),
        svg.bar(1, 2, 3, 4, "train", HOSTILE),
        svg.marker(1, 5, 5, 4, Markup('fill="red"'), HOSTILE),
        svg.svg(10, 10, HOSTILE, []),
        svg.path([(0, 0), (1, 2)], HOSTILE),
    ],
)
def test_texts_from_outside_are_escaped(piece):
    assert "<script" not in piece
    ET.fromstring(piece.replace("\x1b", ""))


@pytest.mark.parametrize("index", range(9))
def test_markers_take_turns_and_keep_their_place(index):
    found = ET.fromstring(svg.marker(index, 10, 20, 5, Markup("")))
    assert found.tag == ("circle" if index % 4 == 0 else "polygon")


@pytest.mark.parametrize(("longest", "expected"), [(1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (70.0, [0, 20, 40, 60])])
def test_ticks_are_round_numbers(longest, expected):
    assert svg.ticks(longest) == pytest.approx(expected)


def test_colours_differ():
    assert len({svg.colour(number) for number in range(60)}) > 50
