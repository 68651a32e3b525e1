"""Labels of training and test rows, through one check: what is no class is refused."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Shaped
from numpy.typing import ArrayLike

from geneb_jax_probes.errors import ProbeDataError

__all__ = ["as_array", "check_labels", "encode_labels", "name_rows", "same_kind"]

_NAMED_ROWS = 5
#: Whole numbers up to here are each one float64.
_EXACT = 2**53
_KINDS = {"b": "numbers", "i": "numbers", "u": "numbers", "f": "numbers", "U": "text", "S": "bytes"}


def name_rows(rows: Int[np.ndarray, " row"]) -> str:
    """The first few row numbers, for a message."""
    shown = ", ".join(str(int(row)) for row in rows[:_NAMED_ROWS])
    return shown + (f" and {len(rows) - _NAMED_ROWS} more" if len(rows) > _NAMED_ROWS else "")


def as_array(values: object, name: str) -> np.ndarray:
    """A NumPy array of anything array-like.

    Raises:
        ProbeDataError: Ragged lists, sparse matrices, masked values, tensors that NumPy cannot
            take over.
    """
    if hasattr(values, "tocsr"):
        raise ProbeDataError(f"{name} is sparse: a probe takes dense arrays, use toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ProbeDataError(f"{name} holds masked values: drop their rows")
    try:
        return np.asarray(values)
    except Exception as error:  # tensors of other libraries raise what they like
        hint = "; give it as float32" if "BFloat16" in str(error) else ""
        raise ProbeDataError(f"{name} is no array: {error}{hint}") from error


def check_labels(y: ArrayLike, name: str = "y") -> Shaped[np.ndarray, " row"]:
    """Labels ``[n]`` that are classes: text, bytes, or whole numbers.

    Raises:
        ProbeDataError: Another rank, a missing label (NaN, None), numbers with fractions, kinds
            mixed, or what is neither number nor text; rows are named.
    """
    labels = as_array(y, name)
    if labels.ndim != 1:
        raise ProbeDataError(f"{name} must have one dimension, got {labels.ndim}")
    if labels.dtype.kind == "O":
        labels = _unwrapped(labels, name)
    if labels.dtype.kind not in _KINDS:
        raise ProbeDataError(f"{name} holds {labels.dtype} values: labels are numbers or text")
    if labels.dtype.kind == "f":
        missing = np.flatnonzero(~np.isfinite(labels))
        if len(missing):
            raise ProbeDataError(f"{name} holds NaN or infinity in row {name_rows(missing)}")
        broken = np.flatnonzero(labels != np.trunc(labels))
        if len(broken):
            raise ProbeDataError(
                f"{name} holds continuous values, the first in row {int(broken[0])} "
                f"({labels[broken[0]]!s}): labels are classes, not measurements"
            )
    return labels


def _unwrapped(labels: np.ndarray, name: str) -> np.ndarray:
    """Python objects as an array of their own kind."""
    missing = [
        i
        for i, label in enumerate(labels)
        if label is None or (np.isscalar(label) and label != label)
    ]
    if missing:
        raise ProbeDataError(
            f"{name} holds a missing label in row {name_rows(np.asarray(missing))}"
        )
    found: dict[str, int] = {}
    for row, label in enumerate(labels):
        if hasattr(label, "__len__") and not isinstance(label, str | bytes):
            raise ProbeDataError(f"{name} holds a sequence in row {row}: give every row one label")
        found.setdefault(_KINDS.get(np.asarray(label).dtype.kind, type(label).__name__), row)
    if len(found) > 1:
        parts = " and ".join(f"{kind} (row {row})" for kind, row in list(found.items())[:2])
        raise ProbeDataError(f"{name} mixes {parts}: make all labels text, or all numbers")
    return np.array(labels.tolist())


def same_kind(y: Shaped[np.ndarray, " _"], other: Shaped[np.ndarray, " _"], names: str) -> None:
    """Refuse text beside numbers: no label of one could ever equal one of the other.

    Raises:
        ProbeDataError: They are of different kinds; or of number types that have only float64 in
            common, which cannot tell labels of more than 53 bits apart.
    """
    kinds = [_KINDS[one.dtype.kind] for one in (y, other)]
    if kinds[0] != kinds[1]:
        raise ProbeDataError(f"{names} hold {kinds[0]} and {kinds[1]}: none would ever be equal")
    if kinds[0] == "numbers" and y.dtype.kind != other.dtype.kind:
        whole = [one for one in (y, other) if one.dtype.kind in "iu" and one.size]
        if np.result_type(y, other).kind == "f" and any(
            int(one.max()) > _EXACT or int(one.min()) < -_EXACT for one in whole
        ):
            raise ProbeDataError(
                f"{names} hold {y.dtype} and {other.dtype}, in which labels beyond 2^53 cannot be "
                "told apart: give both one type"
            )


def encode_labels(
    y: ArrayLike, name: str = "y"
) -> tuple[Shaped[np.ndarray, " class"], Int[np.ndarray, " row"]]:
    """Distinct labels in sorted order and the int32 code of each row."""
    classes, codes = np.unique(check_labels(y, name), return_inverse=True)
    return classes, codes.astype(np.int32)
