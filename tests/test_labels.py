"""A table of pictures and their categories."""

import unicodedata
from pathlib import Path

import pytest

from job.dataset import labelled
from job.errors import UsageError, UserError
from job.labels import read_labels

EXPECTED = {"a/1.jpg": "Apple", "b, c.jpg": "Pear"}


@pytest.mark.parametrize(
    "text",
    [
        'a/1.jpg,Apple\n"b, c.jpg",Pear\n',
        'path,category\na/1.jpg,Apple\n"b, c.jpg",Pear\n',
        'number,Label,Filename\n1,Apple,a/1.jpg\n2,Pear,"b, c.jpg"',
        'path,category\ra/1.jpg,Apple\r"b, c.jpg",Pear\r',
        '\ufeffpath,category\r\n./a/1.jpg, Apple \r\n\r\n/data/x/a/1.jpg,Apple\r\n"b, c.jpg",Pear\r\n',
    ],
)
def test_tables_of_several_programs_are_understood(text: str, tmp_path: Path):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    assert read_labels(str(tmp_path / "labels.csv"), "/data/x") == EXPECTED


def test_both_forms_of_an_accent_are_the_same_category(tmp_path: Path):
    forms = [unicodedata.normalize(form, "Pêche") for form in ("NFC", "NFD")]
    (tmp_path / "l.csv").write_text(f"1.jpg,{forms[0]}\n2.jpg,{forms[1]}\n", encoding="utf-8")
    assert len(set(read_labels(str(tmp_path / "l.csv"), "/x").values())) == 1


@pytest.mark.parametrize(("on_disk", "given"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_the_other_form_of_an_accent_is_the_same_picture(on_disk: str, given: str, tmp_path: Path):
    names = {form: unicodedata.normalize(form, "é à.jpg") for form in ("NFC", "NFD")}
    for name in (names[on_disk], "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "l.csv").write_text(f"{names[given]},A\nb.jpg,B\nö.jpg,B\n", encoding="utf-8")
    found = labelled("train", str(tmp_path), str(tmp_path / "l.csv"))
    sizes = dict(zip(found.table["ima"].to_pylist(), found.table["size"].to_pylist(), strict=True))
    assert sizes == {names[on_disk]: 1, "b.jpg": 1, "ö.jpg": 0}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "names no pictures"),
        (b"path,category\n", "names no pictures"),
        (b"a.jpg,A\nb.jpg\n", "Row 2 of "),
        (b"a.jpg,\n", "Row 1 of "),
        (b"a.jpg,A\na.jpg,B\n", "says of 'a.jpg' that it is 'A' and 'B'"),
        (b"a.jpg,P\xeache\n", "is not in UTF-8"),
        (b"a.jpg,A\n" + b"b" * 200_000 + b",B\n", "Line 2 of .* can't be read: field larger than field limit"),
    ],
)
def test_a_table_that_says_nothing_or_two_things_of_a_picture_is_refused(content: bytes, part: str, tmp_path: Path):
    (tmp_path / "l.csv").write_bytes(content)
    with pytest.raises(UserError, match=part):
        read_labels(str(tmp_path / "l.csv"), "/x")


def test_a_table_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"'.*none\.csv' is not there, or is no file: check --labels"):
        read_labels(str(tmp_path / "none.csv"), "/x")
    with pytest.raises(UsageError, match="is not there, or is no file: check --labels"):
        read_labels(str(tmp_path), "/x")
