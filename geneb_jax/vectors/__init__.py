"""Named vectors in files: ``embed --export`` and ``store export`` write them, ``probe`` reads."""

from __future__ import annotations

from geneb_jax.vectors.reading import NamedVectors, holds_vectors, read_vectors
from geneb_jax.vectors.writing import (
    ENDINGS,
    VectorSheet,
    VectorWriter,
    check_export_path,
    writing_vectors,
)

__all__ = [
    "ENDINGS",
    "NamedVectors",
    "VectorSheet",
    "VectorWriter",
    "check_export_path",
    "holds_vectors",
    "read_vectors",
    "writing_vectors",
]
