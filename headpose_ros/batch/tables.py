"""Tables as Parquet files, written row by row and read back, with little in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.batch.schema import TABLES, arrow_schema
from headpose_ros.errors import HeadposeError
from headpose_ros.extras import needed_by
from headpose_ros.files import OutputError

with needed_by('headpose batch'):
    import pyarrow
    import pyarrow.parquet

Row = dict[str, Any]

#: Rows that wait in memory; of faces about 2 MB.
_GROUP = 2048


class TableWriter:
    """Writes one table; a `with` block closes it.

    Args:
        path: Parquet file to write.
        table: Name of the table in `schema.TABLES`.

    Raises:
        OutputError: It cannot be written.
    """

    def __init__(self, path: Path, table: str) -> None:
        self._path, self._schema = path, arrow_schema(table)
        # Text that repeats is stored once. Numbers that do not are stored as planes of bytes,
        # which compress better: the first bytes of neighbours are alike.
        self._texts = [c.name for c in TABLES[table] if c.type == 'string']
        self._lists = {c.name: c.step for c in TABLES[table] if c.type.startswith('list')}
        self._floats = [
            f'{c.name}.list.element' if c.name in self._lists else c.name
            for c in TABLES[table]
            if 'float' in c.type
        ]
        self._rows: list[Row] = []
        self.count = 0
        self._writer = self._attempt(self._open)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._attempt(self._flush)
            self._attempt(self._writer.close)
            return
        try:
            self._writer.close()
        except (OSError, pyarrow.ArrowException):
            return  # the first error is the one to report

    def add(self, row: Row) -> None:
        """Add a row; what is not known may be NaN or None.

        Raises:
            OutputError: It cannot be written.
        """
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _GROUP:
            self._attempt(self._flush)

    def _open(self) -> Any:
        return pyarrow.parquet.ParquetWriter(
            self._path,
            self._schema,
            compression='zstd',
            use_dictionary=self._texts,
            use_byte_stream_split=self._floats,
        )

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        columns = [
            self._column(field, [row.get(field.name) for row in rows]) for field in self._schema
        ]
        self._writer.write_table(pyarrow.table(columns, schema=self._schema))

    def _column(self, field: Any, values: list[Any]) -> Any:
        if field.name in self._lists:
            step = self._lists[field.name]
            values = [None if v is None else _rounded(v, step) for v in values]
        return pyarrow.array(values, field.type, from_pandas=True)

    def _attempt(self, action: Any) -> Any:
        try:
            return action()
        except (OSError, pyarrow.ArrowException) as error:
            raise OutputError(f'cannot write {self._path}: {_reason(error)}') from error


def write_table(path: Path, table: str, rows: Iterable[Row]) -> None:
    """Write a table at once.

    Raises:
        OutputError: It cannot be written.
    """
    with TableWriter(path, table) as writer:
        for row in rows:
            writer.add(row)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table; what is not known is None.

    Raises:
        HeadposeError: It cannot be read.
    """
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_GROUP):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise HeadposeError(f'cannot read {path}: {_reason(error)}') from error


def _rounded(values: Any, step: float) -> NDArray[np.float32]:
    exact = np.asarray(values, np.float64)
    return (np.round(exact / step) * step if step else exact).astype(np.float32)


def _reason(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)
