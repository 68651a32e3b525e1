"""Features of a task as numbers of rows of a matrix that many tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from geneb_jax_probes.errors import ProbeDataError

__all__ = ["FeatureRows"]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """Rows of a matrix in place of a copy of them; stands for ``matrix[rows]``.

    Where tasks are packed, a matrix that several of them name is brought to the device once.

    Attributes:
        matrix: Features of all tasks, float32 or float64.
        rows: Numbers of the rows, any number of times and in any order.

    Raises:
        ProbeDataError: Another rank, or rows that the matrix does not have.
    """

    matrix: Float[np.ndarray, "distinct dim"]
    rows: Int[np.ndarray, " row"]

    def __post_init__(self) -> None:
        """Refuse what ``matrix[rows]`` would refuse, or misread."""
        if self.matrix.ndim != 2 or self.rows.ndim != 1 or self.rows.dtype.kind not in "iu":
            raise ProbeDataError(
                f"rows of features need a matrix and a list of row numbers, got shapes "
                f"{self.matrix.shape} and {self.rows.shape} ({self.rows.dtype})"
            )
        if len(self.rows) and not 0 <= self.rows.min() <= self.rows.max() < len(self.matrix):
            raise ProbeDataError(f"row numbers outside 0..{len(self.matrix) - 1}")

    @property
    def shape(self) -> tuple[int, int]:
        """Of the rows named."""
        return len(self.rows), self.matrix.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the matrix."""
        return self.matrix.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The rows as an array of their own."""
        if copy is False:
            raise ValueError("rows of a matrix are a copy of it")
        found = self.matrix[self.rows]
        return found if dtype is None else found.astype(dtype, copy=False)
