"""Vectors as a NumPy archive: ``embeddings``, ``names``, one array a column, ``facts`` as JSON.

No array is pickled. The vectors are the last member and are written as they come.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from geneb_jax.errors import OutputError
from geneb_jax.vectors.writing import VectorSheet

__all__ = ["EMBEDDINGS", "FACTS", "NAMES", "NpzWriter"]

EMBEDDINGS, NAMES, FACTS = "embeddings", "names", "facts"
#: NumPy gives every text the length of the longest one; a single long name may cost gigabytes.
_LARGEST_TEXTS_BYTES = 2**31


def _bytes_of(values: Sequence[str] | np.ndarray) -> int:
    """What the values take as an array of NumPy's, texts at the length of the longest one."""
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values.nbytes
    return max((len(value) for value in values), default=0) * 4 * len(values)


class NpzWriter:
    """See :class:`geneb_jax.vectors.writing.VectorWriter`."""

    def __init__(self, temporary: Path, path: Path, sheet: VectorSheet) -> None:
        self._archive = zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True)
        sizes = {NAMES: _bytes_of(sheet.names)}
        sizes |= {name: _bytes_of(values) for name, values in sheet.columns.items()}
        for name, size in sizes.items():
            if size > _LARGEST_TEXTS_BYTES:
                self._archive.close()
                raise OutputError(
                    f"the longest of the {name} makes all of them {size / 2**30:.1f} GiB in an "
                    ".npz",
                    where=path,
                    cause="NumPy stores every text at the length of the longest one",
                    hint=f"export to .parquet, or shorten the {name}",
                )
        for name, array in (
            (NAMES, np.array(sheet.names, dtype=np.str_)),
            *sheet.columns.items(),
            (FACTS, np.array(sheet.facts_json)),
        ):
            plain = array.astype(np.str_) if array.dtype.kind == "O" else array
            with self._member(name) as file:
                npy.write_array(file, plain, allow_pickle=False)
        self._file: IO[bytes] = self._member(EMBEDDINGS)
        shape = (len(sheet.names), sheet.width)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, header)

    def _member(self, name: str) -> IO[bytes]:
        # A fixed date: the same vectors are the same bytes.
        return self._archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)

    def write(self, rows: np.ndarray) -> None:
        """Add rows."""
        self._file.write(np.ascontiguousarray(rows, "<f4").tobytes())

    def close(self) -> None:
        """End the archive."""
        self._file.close()
        self._archive.close()
