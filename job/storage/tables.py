"""Tables as files of Parquet."""

import io
from collections.abc import Sequence

import pyarrow as pa
from pyarrow import parquet


def to_parquet(table: pa.Table) -> bytes:
    """A table as a Parquet file."""
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a Parquet file, or some of its columns. Raises pyarrow.ArrowInvalid for what is none."""
    return parquet.read_table(io.BytesIO(data), columns=list(columns) if columns else None)


class PartsOfParquet:
    """A Parquet file of tables that come one after another, all of the same columns. It is made in memory.

    The columns named `repeated` are stored with a dictionary of their values; for others, such as features, looking for
    values that come again takes longer than it saves.
    """

    def __init__(self, repeated: Sequence[str] = ()) -> None:
        self._repeated = list(repeated)
        self._sink = io.BytesIO()
        self._writer: parquet.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Appends the rows of a table."""
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._sink, table.schema, use_dictionary=self._repeated)
        self._writer.write_table(table)

    def close(self) -> bytes:
        """The file; nothing where no table was added."""
        if self._writer is not None:
            self._writer.close()
        return self._sink.getvalue()
