"""Parquet files through pyarrow, into the same columns of text as every other table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geneb_jax.data.csv_columns import MAX_FILE_BYTES
from geneb_jax.errors import DataError
from geneb_jax.plain_files import NotTheFileError, open_plain

__all__ = ["parquet_columns", "read_parquet"]

_EXTRA = "pip install 'geneb-jax[formats]'"


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns; empty where the file cannot be read or pyarrow is not there."""
    try:
        with _opened(path) as file:
            return tuple(file.schema_arrow.names)
    except DataError:
        return ()


def read_parquet(
    path: Path,
) -> tuple[dict[str, list[str]], dict[str, tuple[str, ...]], frozenset[str]]:
    """Read a parquet file whole.

    Returns:
        Column -> texts; column -> names of its integers, where the file was written with them by
        Hugging Face ``datasets``; the columns that hold lists.

    Raises:
        DataError: if it is damaged or too large, or pyarrow is not installed.
    """
    columns: dict[str, list[str]] = {}
    lists: set[str] = set()
    with _opened(path) as file:
        import pyarrow as pa

        schema = file.schema_arrow
        columns = {name: [] for name in schema.names if not name.startswith("__index_level_")}
        size = 0
        for batch in file.iter_batches(batch_size=65_536, columns=list(columns)):
            size += batch.nbytes
            if size > MAX_FILE_BYTES:
                raise DataError(f"the file holds more than {MAX_FILE_BYTES} bytes", where=path)
            for name in columns:
                columns[name] += _texts(batch.column(name))
        for name in columns:
            if pa.types.is_nested(schema.field(name).type):
                lists.add(name)
        names = _class_names(schema.metadata or {})
    return columns, names, frozenset(lists)


def _texts(column: Any) -> list[str]:
    return [
        "" if value is None else value if isinstance(value, str) else _plain(value)
        for value in column.to_pylist()
    ]


def _plain(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; whatever pyarrow raises becomes one message."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(
            "reading parquet needs pyarrow, which is not installed", where=path, hint=_EXTRA
        ) from error
    try:
        with os.fdopen(open_plain(path), "rb") as raw:
            yield pq.ParquetFile(pa.PythonFile(raw, mode="r"))
    except (pa.ArrowException, NotTheFileError, OSError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise DataError(
            f"the parquet file cannot be read ({reason})",
            where=path,
            cause="it is damaged, no parquet file, or its download was cut short",
            hint="fetch it again",
        ) from error


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of class labels, from what Hugging Face ``datasets`` writes into the schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            str(column): tuple(str(name) for name in feature["names"])
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
