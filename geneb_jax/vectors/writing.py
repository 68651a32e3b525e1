"""Write named vectors as .npz, .parquet or .h5ad, block by block, whole or not at all.

Every format holds the same: a row a sequence in the order given, its name, further columns (label,
split), and the facts of the model that made it. The rows pass through in blocks, so that memory
holds the names and one block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from geneb_jax.durable_files import taking_the_place_of
from geneb_jax.errors import OutputError

__all__ = ["ENDINGS", "VectorSheet", "VectorWriter", "check_export_path", "writing_vectors"]

#: Ending -> packages that write it, besides NumPy; all come with ``geneb-jax[export]``.
ENDINGS: Mapping[str, tuple[str, ...]] = {
    ".npz": (),
    ".parquet": ("pyarrow",),
    ".h5ad": ("anndata", "h5py"),
}


@dataclass(frozen=True, slots=True)
class VectorSheet:
    """Everything about a file of vectors but the vectors.

    Attributes:
        names: A name a row, in order; repeats are kept.
        width: Columns of a vector.
        columns: Name -> int64 or text ``[row]``, of fixed width or as objects.
        facts: Plain data on the model and the input; goes into the file as JSON.
    """

    names: tuple[str, ...]
    width: int
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.columns.items():
            if len(values) != len(self.names):
                raise ValueError(f"{name} has {len(values)} values for {len(self.names)} names")

    @property
    def facts_json(self) -> str:
        """The facts as the file has them."""
        return json.dumps(self.facts, ensure_ascii=False, allow_nan=False, sort_keys=True)


class VectorWriter(Protocol):
    """Takes the rows of a sheet, block by block, in order."""

    def write(self, rows: np.ndarray) -> None:
        """Add float32 ``[k, width]``."""

    def close(self) -> None:
        """Write what comes last."""


def check_export_path(path: Path) -> None:
    """Refuse a path that cannot be written to, before any work.

    Raises:
        OutputError: for an ending that is not known, or whose library is not installed.
    """
    packages = ENDINGS.get(path.suffix.lower())
    if packages is None:
        raise OutputError(
            f"the ending {path.suffix!r} says no format"
            if path.suffix
            else "the name has no ending",
            where=path,
            hint=f"give --export a name that ends in {', '.join(ENDINGS)}",
        )
    absent = [package for package in packages if find_spec(package) is None]
    if absent:
        raise OutputError(
            f"{path.suffix} needs {' and '.join(absent)}, which is not installed",
            where=path,
            hint="pip install 'geneb-jax[export]', or export to .npz, which needs nothing",
        )
    if path.is_dir():
        raise OutputError("is a folder", where=path, hint="give --export the name of a file")


@contextmanager
def writing_vectors(path: Path, sheet: VectorSheet) -> Iterator[VectorWriter]:
    """A writer whose file appears under its name once the block ends without an error.

    Raises:
        OutputError: see :func:`check_export_path`; or if the disk is full.
        ValueError: if the block gave other rows than the sheet promises.
    """
    check_export_path(path)
    with taking_the_place_of(path, option="--export") as temporary:
        writer = _Counted(_writer(temporary, path, sheet), sheet)
        try:
            yield writer
        finally:
            writer.inner.close()
        if writer.written != len(sheet.names):
            raise ValueError(f"{writer.written} rows were given for {len(sheet.names)} names")


def _writer(temporary: Path, path: Path, sheet: VectorSheet) -> VectorWriter:
    ending = path.suffix.lower()
    if ending == ".npz":
        from geneb_jax.vectors.npz_file import NpzWriter

        return NpzWriter(temporary, path, sheet)
    if ending == ".parquet":
        from geneb_jax.vectors.parquet_file import ParquetWriter

        return ParquetWriter(temporary, sheet)
    from geneb_jax.vectors.h5ad_file import H5adWriter

    return H5adWriter(temporary, sheet)


class _Counted:
    """Passes rows on after a look at their shape."""

    def __init__(self, inner: VectorWriter, sheet: VectorSheet) -> None:
        self.inner, self._sheet, self.written = inner, sheet, 0

    def write(self, rows: np.ndarray) -> None:
        if rows.ndim != 2 or rows.shape[1] != self._sheet.width or rows.dtype != np.float32:
            raise ValueError(f"rows {rows.dtype} {rows.shape} are not [k, {self._sheet.width}]")
        if self.written + len(rows) > len(self._sheet.names):
            raise ValueError(f"more rows than the {len(self._sheet.names)} names")
        self.inner.write(rows)
        self.written += len(rows)

    def close(self) -> None:
        self.inner.close()
