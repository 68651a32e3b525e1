"""Vectors as AnnData: ``X``, names as ``obs_names``, columns in ``obs``, facts in ``uns``.

anndata writes everything but ``X``, which is added row by row in the form that it reads
(https://anndata.readthedocs.io, "On-disk format": an array, version 0.2.0).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from geneb_jax.vectors.writing import VectorSheet

__all__ = ["H5adWriter"]

_CHUNK_BYTES = 2**20


class H5adWriter:
    """See :class:`geneb_jax.vectors.writing.VectorWriter`."""

    def __init__(self, temporary: Path, sheet: VectorSheet) -> None:
        with warnings.catch_warnings():
            # Of repeated names, which are kept, and of its own dependencies among each other.
            warnings.simplefilter("ignore")
            import anndata
            import h5py
            import pandas

            # Texts as objects: every anndata reads them, pandas' own kinds of text only some.
            rows = pandas.DataFrame(
                {
                    name: pandas.Series(
                        values, dtype="int64" if values.dtype.kind == "i" else object
                    )
                    for name, values in sheet.columns.items()
                }
            )
            rows.index = pandas.Index(np.array(sheet.names, object), dtype=object)
            numbers = np.array([str(place) for place in range(sheet.width)], object)
            places = pandas.DataFrame(index=pandas.Index(numbers, dtype=object))
            facts = {"geneb_jax": sheet.facts_json}
            anndata.AnnData(obs=rows, var=places, uns=facts).write_h5ad(
                temporary, convert_strings_to_categoricals=False
            )
        self._file = h5py.File(temporary, "r+")
        if "X" in self._file:
            del self._file["X"]
        tall = max(1, min(len(sheet.names), _CHUNK_BYTES // (4 * sheet.width)))
        self._vectors = self._file.create_dataset(
            "X", (len(sheet.names), sheet.width), "<f4", chunks=(tall, sheet.width)
        )
        self._vectors.attrs["encoding-type"] = "array"
        self._vectors.attrs["encoding-version"] = "0.2.0"
        self._done = 0

    def write(self, rows: np.ndarray) -> None:
        """Add rows."""
        self._vectors[self._done : self._done + len(rows)] = rows
        self._done += len(rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
