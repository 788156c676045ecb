"""A table of pictures and their categories, which somebody has written by hand or with another program."""

import csv
import io
import unicodedata
from collections.abc import Mapping

from job import storage
from job.errors import UsageError, UserError

# What the columns are called, in any case; the first of each is what this package calls them.
_PATHS = ("ima", "path", "file", "filename", "image", "name")
_CATEGORIES = ("cat", "category", "label", "class")


def read_labels(file: str, root: str) -> Mapping[str, str]:
    """Category by picture, from a CSV file (here or `s3://`) with the columns `path` and `category`.

    Paths are relative to `root`, or begin with it. Its first line names the columns; without such names the first two
    are meant, and the first line is a picture's. A picture may be there twice with the same category.

    Raises UsageError when there is no such file, and UserError when it can't be read, or says nothing, or two things,
    of a picture.
    """
    try:
        text = storage.read_bytes(file).decode("utf-8-sig")
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise UsageError(f"The file of labels '{file}' is not there, or is no file: check --labels.") from error
        raise
    except UnicodeDecodeError:
        raise UserError(f"The file of labels '{file}' is not in UTF-8: save it as that.") from None
    lines = csv.reader(io.StringIO(text, newline=None))  # whatever the lines end with
    try:
        rows = [row for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"Line {lines.line_num} of '{file}' can't be read: {error}. Save it as CSV.") from None
    first, second, begin = _places(rows[0] if rows else [])
    found: dict[str, str] = {}
    for number, row in enumerate(rows[begin:], start=begin + 1):
        path, category = (row[place].strip() if place < len(row) else "" for place in (first, second))
        if not path or not category:
            raise UserError(f"Row {number} of '{file}' has no path, or no category: write both, separated by a comma.")
        name = path.removeprefix(f"{root}/").removeprefix("./")
        cat = unicodedata.normalize("NFC", category)
        if found.setdefault(name, cat) != cat:
            raise UserError(f"'{file}' says of '{path}' that it is '{found[name]}' and '{cat}': keep one of them.")
    if not found:
        raise UserError(f"The file of labels '{file}' names no pictures: write a path and a category a line.")
    return found


def _places(heading: list[str]) -> tuple[int, int, int]:
    """Where paths and categories stand in a row, and which row is the first picture's."""
    names = [name.strip().lower() for name in heading]
    path = next((names.index(name) for name in _PATHS if name in names), None)
    category = next((names.index(name) for name in _CATEGORIES if name in names), None)
    return (0, 1, 0) if path is None or category is None else (path, category, 1)
