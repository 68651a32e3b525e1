"""The predicted labels of one unit's fits, and how they are kept beside its record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.results.array_files import array_bytes, arrays_of

__all__ = ["UnitPredictions", "pack_predictions", "unpack_predictions"]


@dataclass(frozen=True, slots=True, eq=False)
class UnitPredictions:
    """Predicted labels of every fit of a (model, task, regime), on the whole test set.

    Attributes:
        labels: int64 ``[C, fit, test row]``: strengths and seeds in the order of the unit's key. A
            unit whose seeds share one fit (logistic probe, full regime) has one.
    """

    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or not np.issubdtype(self.labels.dtype, np.integer):
            raise ValueError(
                f"predictions are integers [C, fit, row], not {self.labels.dtype} "
                f"{self.labels.shape}"
            )


def pack_predictions(predictions: UnitPredictions) -> bytes:
    """An ``.npz`` with ``classes`` int64 ``[K]`` and ``codes`` ``[C, fit, row]``, places in it.

    Codes are of the narrowest unsigned type: a byte a prediction up to 256 labels, before deflate.
    """
    classes, codes = np.unique(predictions.labels, return_inverse=True)
    narrow = np.min_scalar_type(max(len(classes) - 1, 0))
    return array_bytes(
        {
            "classes": classes.astype(np.int64),
            "codes": codes.reshape(predictions.labels.shape).astype(narrow),
        }
    )


def unpack_predictions(content: bytes) -> UnitPredictions:
    """Undo :func:`pack_predictions`.

    Raises:
        ValueError: with the reason, if the bytes are not such an archive.
    """
    arrays = arrays_of(content, {"classes": 1, "codes": 3})
    classes, codes = arrays["classes"], arrays["codes"]
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(classes):
        raise ValueError("a code is not the place of a class")
    return UnitPredictions(classes.astype(np.int64)[codes])
