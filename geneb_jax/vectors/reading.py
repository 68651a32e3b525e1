"""Read an .npz of named vectors back; nothing in it is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.errors import DataError
from geneb_jax.strict_json import parse_json
from geneb_jax.vectors.npz_file import EMBEDDINGS, FACTS, NAMES

__all__ = ["NamedVectors", "holds_vectors", "read_vectors"]


@dataclass(frozen=True, slots=True, eq=False)
class NamedVectors:
    """The content of a file.

    Attributes:
        embeddings: float32 ``[row, width]``.
        names: Text ``[row]``.
        columns: Name -> int64 or text ``[row]``.
        facts: What is known of the model and the input.
    """

    embeddings: np.ndarray
    names: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def holds_vectors(arrays: Mapping[str, Any]) -> bool:
    """Whether an archive of arrays is a file of named vectors."""
    return EMBEDDINGS in arrays and NAMES in arrays


def read_vectors(arrays: Mapping[str, Any], *, where: Path) -> NamedVectors:
    """Make sense of an opened archive (``np.load(path, allow_pickle=False)``).

    Raises:
        DataError: if the arrays do not fit together.
    """
    rows, names = arrays[EMBEDDINGS], arrays[NAMES]
    if getattr(rows, "ndim", 0) != 2 or rows.dtype.kind != "f" or names.shape != rows.shape[:1]:
        raise DataError(
            f"embeddings {rows.dtype} {rows.shape} and names {names.shape} do not fit together",
            where=where,
            cause="the file was not written by `geneb-jax embed --export`, or was changed",
            hint="export it again",
        )
    columns = {
        name: arrays[name]
        for name in arrays
        if name not in (EMBEDDINGS, NAMES, FACTS) and arrays[name].shape == names.shape
    }
    return NamedVectors(rows, names, columns, _facts(arrays, where))


def _facts(arrays: Mapping[str, Any], where: Path) -> Mapping[str, Any]:
    if FACTS not in arrays:
        return {}
    try:
        facts = parse_json(str(arrays[FACTS]).encode("utf-8"))
    except ValueError as error:
        raise DataError(f"its facts are not JSON ({error})", where=where) from error
    return facts if isinstance(facts, dict) else {}
