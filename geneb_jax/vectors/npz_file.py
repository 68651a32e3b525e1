"""Vectors as a NumPy archive: ``embeddings``, ``names``, one array a column, ``facts`` as JSON.

No array is pickled. The vectors are the last member and are written as they come.
"""

from __future__ import annotations

import zipfile
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


class NpzWriter:
    """See :class:`geneb_jax.vectors.writing.VectorWriter`."""

    def __init__(self, temporary: Path, path: Path, sheet: VectorSheet) -> None:
        self._archive = zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True)
        longest = max((len(name) for name in sheet.names), default=0)
        if longest * 4 * len(sheet.names) > _LARGEST_TEXTS_BYTES:
            self._archive.close()
            raise OutputError(
                f"names of up to {longest} letters would take "
                f"{longest * 4 * len(sheet.names) / 2**30:.1f} GiB in an .npz",
                where=path,
                cause="NumPy stores every text at the length of the longest one",
                hint="export to .parquet, or shorten the names",
            )
        for name, array in (
            (NAMES, np.array(sheet.names, dtype=np.str_)),
            *sheet.columns.items(),
            (FACTS, np.array(sheet.facts_json)),
        ):
            with self._member(name) as file:
                npy.write_array(file, np.asarray(array), allow_pickle=False)
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
