import csv
import io
import math

import numpy as np
import pyarrow as pa
import pytest

from job.report import reference, tables

NASTY = ["Lemon", "Apple, red", 'the "best"', "Pêche", "two\nlines", "", "=1+1", "cat"]


def read(data):
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_a_confusion_matrix_counts_what_a_direct_loop_counts():
    draw = np.random.default_rng(5)
    labels = ["a", "b", "c", "d"]
    true, predicted = draw.integers(0, 4, 500), draw.integers(0, 3, 500)
    expected = [[0] * 4 for _ in labels]
    for row, column in zip(true, predicted, strict=True):
        expected[row][column] += 1

    table = tables.confusion_matrix(true, predicted.astype(float), labels)

    assert table.column_names == ["cat", *labels]
    assert table["cat"].to_pylist() == labels
    assert [list(row.values())[1:] for row in table.to_pylist()] == expected


def test_a_confusion_matrix_of_no_pictures_is_all_zeros():
    nothing = np.array([], dtype=np.int64)
    table = tables.confusion_matrix(nothing, nothing, ["a", "b"])
    assert [column.to_pylist() for column in table.columns] == [["a", "b"], [0, 0], [0, 0]]


@pytest.mark.parametrize("wrong", [-1, 2, 0.5, math.nan])
def test_a_label_that_is_no_category_is_refused(wrong):
    with pytest.raises(ValueError, match="none of 0 to 1"):
        tables.confusion_matrix(np.array([0, wrong]), np.array([0, 1]), ["a", "b"])


def test_labels_and_predictions_of_different_length_are_refused():
    with pytest.raises(ValueError, match="2 true labels and 1 predictions"):
        tables.confusion_matrix(np.array([0, 1]), np.array([0]), ["a", "b"])


def test_precision_recall_and_f1_follow_their_definitions():
    true, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    rows = tables.categories_table(true, predicted, ["a", "b", "c"]).to_pylist()
    for index, row in enumerate(rows):
        right = sum((true == index) & (predicted == index))
        claimed, support = sum(predicted == index), sum(true == index)
        assert row["support"] == support
        assert row["recall"] == right / support
        assert row["precision"] == (right / claimed if claimed else None)
        assert row["f1"] == 2 * right / (claimed + support)


def test_a_ratio_of_nothing_to_nothing_is_empty_and_not_zero():
    table = tables.categories_table(np.array([0]), np.array([0]), ["a", "unseen"])
    assert table.to_pylist()[1] == {"cat": "unseen", "precision": None, "recall": None, "f1": None, "support": 0}
    assert tables.to_csv(table).decode().splitlines()[2] == "unseen,,,,0"


def test_nasty_names_survive_a_round_trip_through_csv():
    table = pa.Table.from_arrays(
        [pa.array(NASTY), *(pa.array(range(len(NASTY))) for _ in NASTY)], names=["cat", *NASTY]
    )
    header, *rows = read(tables.to_csv(table))
    assert [tables.from_cell(name) for name in header] == ["cat", *NASTY]
    assert [tables.from_cell(row[0]) for row in rows] == NASTY


def test_an_empty_text_and_a_missing_one_differ_in_csv():
    assert tables.to_csv(pa.table({"a": ["", None], "b": [1, 2]})) == b'a,b\n"",1\n,2\n'


def test_floats_read_back_as_the_same_numbers_in_the_fewest_digits():
    numbers = [0.1, 1 / 3, 1e-300, 123456789.125, -0.0, 3.0, 5e-324]
    small = np.array([0.1, 1 / 3, 16777216], dtype=np.float32)
    rows = read(tables.to_csv(pa.table({"wide": numbers})))[1:]
    assert [float(row[0]) for row in rows] == numbers
    assert [float(row[0]) for row in rows] == [float(repr(number)) for number in numbers]
    assert [len(row[0]) <= len(repr(number)) for row, number in zip(rows, numbers, strict=True)]
    rows = read(tables.to_csv(pa.table({"narrow": pa.array(small)})))[1:]
    assert np.array([row[0] for row in rows], dtype=np.float32).tolist() == small.tolist()
    assert rows[0] == ["0.1"]


def test_chunks_without_rows_leave_nothing_in_csv():
    """Case 1: `rejected.csv` began with 16,384 bytes of the process's memory (apache/arrow#36889)."""
    none, one = pa.table({"a": pa.array([], pa.string())}), pa.table({"a": ["x"]})
    for parts in ([none, one], [one, none], [none, one, none, one], [none, none, one]):
        rows = sum(part.num_rows for part in parts)
        assert tables.to_csv(pa.concat_tables(parts)) == b"a\n" + b"x\n" * rows


def test_a_table_without_rows_is_its_header():
    assert tables.to_csv(pa.table({"path": pa.array([], pa.string()), "reason": pa.array([], pa.string())})) == (
        b"path,reason\n"
    )


def test_timings_are_written_as_the_reference_is():
    table = tables.timings_table([("read_images", "train", 0.123456, None, 4), ("total", "all", 7, None, None)])
    assert tables.to_csv(table) == (
        b"operation,split,seconds,tasks,partitions\nread_images,train,0.1235,,4\ntotal,all,7,,\n"
    )


def test_the_worst_mistakes_are_the_most_certain_ones_and_their_order_is_fixed():
    predictions = pa.table(
        {
            "ima": ["d", "c", "b", "a", "e"],
            "cat": ["x"] * 5,
            "predicted_cat": ["y", "y", "y", "x", "y"],
            "probability": [0.9, 0.5, 0.9, 1.0, None],
        }
    )
    assert tables.worst_mistakes(predictions, 9)["ima"].to_pylist() == ["b", "d", "c", "e"]
    assert tables.worst_mistakes(predictions, 1)["ima"].to_pylist() == ["b"]


def test_the_reference_sums_up_to_its_own_totals_within_their_rounding():
    table = reference.emr_table()
    assert table.column_names == ["operation", "split", *reference.SERIES]
    for name in reference.SERIES:
        *parts, total = table[name].to_pylist()
        assert sum(parts) == pytest.approx(total, abs=1.01)
