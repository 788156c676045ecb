"""Result tables: confusion matrix, scores per category, timings, mistakes, and their CSV form.

Pure functions on numpy arrays and Arrow tables.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from job.learn import scores

TIMINGS_SCHEMA = pa.schema(
    [
        ("operation", pa.string()),
        ("split", pa.string()),
        ("seconds", pa.float64()),
        ("tasks", pa.int64()),
        ("partitions", pa.int64()),
    ]
)


def confusion_matrix(true: NDArray[Any], predicted: NDArray[Any], labels: Sequence[str]) -> pa.Table:
    """Count pictures per true and predicted category.

    Parameters
    ----------
    true, predicted : ndarray of shape (n_pictures,), whole numbers of any dtype
        Indices into `labels`.
    labels
        Names of the categories, in the order of their indices.

    Returns
    -------
    Table of len(labels) rows (true) with the columns `cat` (string) and one int64 column per predicted category.

    Raises
    ------
    ValueError
        The arrays differ in length, or a value is no index into `labels`.

    """
    counts = scores.confusion(true, predicted, len(labels))
    columns = [pa.array(labels, pa.string()), *(pa.array(column) for column in counts.T)]
    return pa.Table.from_arrays(columns, names=["cat", *labels])


def categories_table(true: NDArray[Any], predicted: NDArray[Any], labels: Sequence[str]) -> pa.Table:
    """Precision, recall, F1 and support of each category, in the order of `labels`.

    Parameters as for `confusion_matrix`. A ratio of nothing to nothing (precision of a category never predicted,
    recall of one without pictures) is null. F1 is 2 TP / (2 TP + FP + FN), so it is 0 for a category that has
    pictures and was never predicted.

    Returns
    -------
    Table with the columns `cat` (string), `precision`, `recall`, `f1` (float64 or null), `support` (int64, pictures).

    """
    found = scores.by_category(scores.confusion(true, predicted, len(labels)))
    return pa.table(
        {
            "cat": pa.array(labels, pa.string()),
            # `from_pandas` makes NaN null.
            "precision": pa.array(found.precision, from_pandas=True),
            "recall": pa.array(found.recall, from_pandas=True),
            "f1": pa.array(found.f1, from_pandas=True),
            "support": pa.array(found.support),
        }
    )


def timings_table(rows: Iterable[tuple[str, str, float, int | None, int | None]]) -> pa.Table:
    """Rows of (operation, split, seconds, tasks, partitions) as a table; seconds to a tenth of a millisecond.

    Tasks and partitions are null for work that Spark did not do.
    """
    records = [(operation, split, round(float(taken), 4), *rest) for operation, split, taken, *rest in rows]
    return pa.Table.from_pylist([dict(zip(TIMINGS_SCHEMA.names, row, strict=True)) for row in records], TIMINGS_SCHEMA)


def worst_mistakes(predictions: pa.Table, n: int) -> pa.Table:
    """The `n` wrong predictions that were made with most confidence, most confident first.

    `predictions` has the columns `ima, cat, label, prediction, predicted_cat, probability`, the last one being the
    probability of the predicted category. Equal probabilities are ordered by `ima`, unknown ones come last.
    """
    wrong = predictions.filter(pc.not_equal(predictions["cat"], predictions["predicted_cat"]))
    order = [("probability", "descending"), ("ima", "ascending")]
    return wrong.take(pc.sort_indices(wrong, sort_keys=order)).slice(0, n)


def to_csv(table: pa.Table) -> bytes:
    """`table` as CSV in UTF-8: a header, line feeds, quotes where needed.

    Floats have the fewest digits that read back as the same number; null is an empty field, an empty text is `""`.
    Where one text needs quotes all have them, as Arrow writes it. A text that a spreadsheet would take for a formula
    has an apostrophe before it, which `from_cell` and `from_cells` take away.
    """
    table = _harmless(table)
    sink = io.BytesIO()
    # Arrow quotes every name in a header; names are written here as any other text is.
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(table.column_names)
    sink.write(header.getvalue().encode())
    if table.num_rows:
        # Arrow writes uninitialised memory where the first chunk has no rows (apache/arrow#36889)
        filled = [batch for batch in table.to_batches() if batch.num_rows]
        table = pa.Table.from_batches(filled, table.schema)
        style = "needed" if _has_text_to_quote(table) else "none"
        arrow_csv.write_csv(table, sink, arrow_csv.WriteOptions(include_header=False, quoting_style=style))
    return sink.getvalue()


# What makes a formula of a cell, in spreadsheets of East Asia too; apostrophes may stand before it in the name itself.
_FORMULA = "^('*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20])"
_ESCAPED = f"^'{_FORMULA.removeprefix('^')}"


def from_cell(text: str) -> str:
    """A text as it was before `to_csv` wrote it into a cell."""
    return re.sub(_ESCAPED, r"\1", text)


def from_csv(content: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    """What `to_csv` made of a table. `types` are those of columns that the content may not tell."""
    options, parse = arrow_csv.ConvertOptions(column_types=types), arrow_csv.ParseOptions(newlines_in_values=True)
    return from_cells(arrow_csv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=options))


def from_cells(table: pa.Table) -> pa.Table:
    """A table that was read from CSV, its texts as they were before `to_csv` wrote them."""
    return _replaced(table, _ESCAPED, r"\1").rename_columns([from_cell(name) for name in table.column_names])


def _harmless(table: pa.Table) -> pa.Table:
    names = [re.sub(_FORMULA, r"'\1", name) for name in table.column_names]
    return _replaced(table, _FORMULA, r"'\1").rename_columns(names)


def _replaced(table: pa.Table, pattern: str, replacement: str) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and pc.any(pc.match_substring_regex(table[place], pattern)).as_py():
            changed = pc.replace_substring_regex(table[place], pattern, replacement)
            table = table.set_column(place, field, changed)
    return table


def _has_text_to_quote(table: pa.Table) -> bool:
    texts = (column for column in table.columns if not pa.types.is_primitive(column.type))
    return any(pc.any(pc.match_substring_regex(column, '[",\r\n]|^$')).as_py() for column in texts)
