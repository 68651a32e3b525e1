"""Vectors as Parquet: columns ``name``, the further ones, ``embedding``; a row group a block.

``embedding`` is a list of fixed size, float32; the facts stand in the schema's metadata under
``geneb_jax``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from geneb_jax.vectors.writing import VectorSheet

__all__ = ["ParquetWriter"]


class ParquetWriter:
    """See :class:`geneb_jax.vectors.writing.VectorWriter`."""

    def __init__(self, temporary: Path, sheet: VectorSheet) -> None:
        self._sheet, self._done = sheet, 0
        vector = pyarrow.list_(pyarrow.float32(), sheet.width)
        fields = [
            pyarrow.field("name", pyarrow.string(), nullable=False),
            *(
                pyarrow.field(name, _type(values), nullable=False)
                for name, values in sheet.columns.items()
            ),
            pyarrow.field("embedding", vector, nullable=False),
        ]
        self._schema = pyarrow.schema(fields, metadata={"geneb_jax": sheet.facts_json})
        self._writer = pyarrow.parquet.ParquetWriter(
            temporary, self._schema, compression="zstd", use_dictionary=False
        )

    def write(self, rows: np.ndarray) -> None:
        """Add rows as one row group."""
        if not len(rows):
            return
        part = slice(self._done, self._done + len(rows))
        flat = pyarrow.array(np.ascontiguousarray(rows).reshape(-1))
        columns = [
            pyarrow.array(self._sheet.names[part], pyarrow.string()),
            *(
                pyarrow.array(values[part].tolist(), _type(values))
                for values in self._sheet.columns.values()
            ),
            pyarrow.FixedSizeListArray.from_arrays(flat, self._sheet.width),
        ]
        table = pyarrow.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(rows))
        self._done += len(rows)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _type(values: np.ndarray) -> pyarrow.DataType:
    return pyarrow.int64() if values.dtype.kind == "i" else pyarrow.string()
