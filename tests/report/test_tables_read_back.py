"""Every table that this program writes, read back: with chunks that are empty, with nulls, with no rows.

`rejected.csv` once held 16 kB of the process's memory (apache/arrow#36889), where a column's first chunk was empty.
"""

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

import job
from job import kept, storage
from job.experiment.watch import ledger
from job.model import batch
from job.report.tables import TIMINGS_SCHEMA, from_cells, to_csv
from job.storage.tables import PartsOfParquet, from_parquet, to_parquet

TEXTS = [
    "Training/A/1.jpg",
    "",
    None,
    "=1+1",
    "'=x",
    "'plain",
    'a "quoted", one\nin two lines',
    "é 🍐",
    "-",
    "a\tb",
    "0",
]
VALUES = {
    pa.string(): TEXTS,
    pa.int32(): [0, None, -5, 2**31 - 1],
    pa.int64(): [None, 0, 1, -(2**63)],
    pa.float64(): [0.1, None, -1e-300, 1 / 3, 1e17, 0.0],
    pa.bool_(): [True, None, False],
    pa.binary(): [b"", None, b"\0\xff" * 40],
    pa.list_(pa.float32()): [[0.1, -1.0], [], None, [0.0] * 300],
    pa.timestamp("us", "UTC"): [datetime(2026, 1, 2, 3, 4, 5, 6, UTC), None],
}
TEXT, NUMBER, FLOAT = pa.string(), pa.int64(), pa.float64()
# Those that are CSV, by file; where several have the same types, one of them.
CSV = {
    "rejected.csv, folds.csv": pa.schema([("path", TEXT), ("reason", TEXT)]),
    "timings.csv, task_analysis.csv": TIMINGS_SCHEMA,
    "bag_of_words.csv": pa.schema([("ima", TEXT), ("cat", TEXT), *((str(word), NUMBER) for word in range(9))]),
    "df_lab_features.csv": pa.schema(
        [("ima", TEXT), ("cat", TEXT), ("label", FLOAT), *((str(place), FLOAT) for place in range(9))]
    ),
    "predictions.csv": batch.SCHEMA,
    "confusion_matrix.csv, categories.csv": pa.schema(
        [("cat", TEXT), ("=A", NUMBER), ("'=A", NUMBER), ("B, b", FLOAT)]
    ),
    "data_issues.csv, mistakes.csv": pa.schema(
        [("kind", TEXT), ("split", TEXT), ("ima", TEXT), ("score", FLOAT), ("suggested", TEXT), ("other", TEXT)]
    ),
    "protocols.csv, learning_curve.csv, tune.csv": pa.schema(
        [("round", TEXT), ("pictures", NUMBER), ("low", FLOAT), ("in_copies", pa.bool_())]
    ),
}
PARQUET = {"predictions": batch.SCHEMA, "batches of a watch": ledger.SCHEMA}
LAYOUTS: list[list[int]] = [
    [], [0], [0, 0], [7], [0, 7], [7, 0], [3, 0, 4], [0, 3, 0, 0, 4, 0], [1] * 7, [0, 300], [150, 0, 150],
]  # fmt: skip


def chunked(kind: pa.DataType, layout: list[int], start: int) -> pa.ChunkedArray:
    values, chunks = VALUES[kind], []
    for length in layout:
        chunks.append(pa.array([values[(start + place) % len(values)] for place in range(length)], kind))
        start += length
    return pa.chunked_array(chunks, kind)


def tables(schema: pa.Schema, layout: list[int]) -> list[pa.Table]:
    """One whose columns have the same chunks, and one in which only every second column has them; and slices."""
    same = pa.table([chunked(field.type, layout, place) for place, field in enumerate(schema)], schema=schema)
    whole = [sum(layout)]
    mixed = pa.table(
        [chunked(field.type, layout if place % 2 else whole, place) for place, field in enumerate(schema)],
        schema=schema,
    )
    return [same, mixed, same.slice(min(2, same.num_rows)), same.filter(pa.array([False] * same.num_rows, pa.bool_()))]


def read(content: bytes, schema: pa.Schema) -> pa.Table:
    """By Arrow: it tells an empty text from none, as what this program reads of its own tables does."""
    header = content.partition(b"\n")[0] + b"\n"
    names = arrow_csv.read_csv(io.BytesIO(header)).column_names
    convert = arrow_csv.ConvertOptions(
        column_types=dict(zip(names, schema.types, strict=True)),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    return from_cells(arrow_csv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=convert))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", CSV)
def test_csv_reads_back_as_it_was(name: str, layout: list[int]):
    for table in tables(CSV[name], layout):
        content = to_csv(table)
        found = read(content, table.schema)
        assert found.column_names == table.column_names
        assert found.to_pylist() == table.to_pylist()
        assert b"\0" not in content


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", PARQUET)
def test_parquet_reads_back_as_it_was(name: str, layout: list[int]):
    for table in tables(PARQUET[name], layout):
        assert from_parquet(to_parquet(table)).equals(table)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_parquet_made_part_by_part_reads_back_as_it_was(layout: list[int]):
    schema = pa.schema([("ima", TEXT), ("cat", TEXT), ("label", FLOAT), ("features", pa.list_(pa.float32()))])
    for table in tables(schema, layout):
        file = PartsOfParquet(repeated=["cat"])
        parts = [table.slice(0, 2), table.slice(2, 0), table.slice(2)]
        for part in parts:
            file.add(part)
        assert from_parquet(file.close()).equals(table)


def test_no_parts_are_no_file():
    assert PartsOfParquet().close() == b""


@pytest.mark.parametrize("layout", LAYOUTS[3:], ids=str)
def test_files_of_a_cache_read_back_as_they_were(layout: list[int], tmp_path: Path):
    schema = pa.schema([("ima", TEXT), ("cat", TEXT), ("size", NUMBER), ("version", NUMBER), ("part", TEXT),
                        ("descriptors", pa.binary()), ("keypoints", pa.int32()), ("reason", TEXT)])  # fmt: skip
    (table, *_) = tables(schema, layout)
    kept._store(str(tmp_path), table.to_batches())
    ((name, size),) = storage.files(str(tmp_path)).items()
    assert kept.NAME.fullmatch(name)
    found = parquet.read_table(tmp_path / name, page_checksum_verification=True)
    assert found.equals(table.drop_columns(["cat", "part"]))
    assert storage.read_columns(str(tmp_path / name), size, ["ima", "copy"]).equals(table.select(["ima"]))


def test_there_are_no_other_writers_of_tables():
    """Whoever adds one adds it here. Spark's own writers are tested with whole runs."""
    known: dict[str, set[str]] = {
        "write_csv": {"report/tables.py"},
        "csv.writer": {"report/tables.py", "benchmark/record.py"},
        "write_table": {"storage/tables.py", "experiment/watch/ledger.py", "storage/pack.py", "kept.py"},
        "ParquetWriter": {"storage/tables.py", "storage/pack.py"},
        "RecordBatchFileWriter|RecordBatchStreamWriter|new_file|new_stream|to_parquet_dataset|feather": set(),
    }
    folder = Path(job.__file__).parent
    sources: dict[str, Any] = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}
    for pattern, files in known.items():
        assert {name for name, text in sources.items() if re.search(rf"\b(?:{pattern})\(", text)} == files
