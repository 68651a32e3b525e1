"""The names of the user's own sequences, file after file, and what else is known of each.

Files are read twice, once for the names and every complaint, once to embed: sequences may be more
than memory holds. What is read is hashed on the way, so that the second reading can be held to the
first one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.data.sequence_files import read_sequences
from geneb_jax.errors import DataError

__all__ = ["SequenceList", "list_sequences"]

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class SequenceList:
    """What files of sequences hold, without the sequences.

    Attributes:
        names: Of each sequence, file after file.
        columns: ``label`` (int64 where all are whole numbers, else text), ``split`` and
            ``description``, each ``[sequence]``, texts as objects; only those that the files have.
        digests: File -> SHA-256 over its bytes.
        counts: File -> sequences.
    """

    names: tuple[str, ...]
    columns: Mapping[str, np.ndarray]
    digests: Mapping[Path, str]
    counts: Mapping[Path, int]

    def __len__(self) -> int:
        return len(self.names)


def list_sequences(paths: Sequence[Path], columns: Mapping[str, str]) -> SequenceList:
    """Read files through once and keep names, labels and splits.

    Args:
        paths: The files.
        columns: Role (``sequence``, ``name``, ``label``, ``split``) -> column, where a table's own
            names say something else.

    Raises:
        DataError: with file and row, for what cannot be read, or labels in some files only.
    """
    names: list[str] = []
    found: dict[str, list[str | None]] = {"label": [], "split": [], "description": []}
    digests: dict[Path, str] = {}
    counts: dict[Path, int] = {}
    for path in paths:
        if path in digests:
            raise DataError("the file is named twice", where=path, hint="name it once")
        before = len(names)
        hasher = hashlib.sha256()
        for one in read_sequences(path, columns, hasher=hasher):
            names.append(one.name)
            found["label"].append(one.label)
            found["split"].append(one.split)
            found["description"].append(one.description or None)
        digests[path], counts[path] = hasher.hexdigest(), len(names) - before
    kept = {role: _column(role, values) for role, values in found.items() if any(values)}
    return SequenceList(tuple(names), kept, digests, counts)


def _column(role: str, values: Sequence[str | None]) -> np.ndarray:
    if role == "description":
        return np.array([value or "" for value in values], object)
    if any(value is None for value in values):
        raise DataError(
            f"some of the files have a column of {role}s and some have none",
            hint="export them one by one, or give all of them the column",
        )
    texts = [str(value) for value in values]
    if role == "label" and all(_WHOLE_NUMBER.fullmatch(text) for text in texts):
        return np.array([int(text) for text in texts], np.int64)
    return np.array(texts, object)  # of a fixed width, one long text would cost gigabytes
