"""How a call solves its problems, whichever solver does: strengths, precision, stops, memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from geneb_jax_probes.errors import ProbeOptionError
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.problem import Dtype

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a call but its problems and its solver.

    Attributes:
        strengths: Values of C.
        tol: Gradient component to stop at; None for the solver's own.
        max_iter: Step limit.
        dtype: Precision of the products with X.
        memory_bytes: Most bytes of features that a lane holds at a time; a larger matrix is
            streamed through it in blocks of rows. None for half of the lane's memory.
    """

    strengths: Float[np.ndarray, " strength"]
    tol: float | None
    max_iter: int
    dtype: Dtype
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that would never end a fit, or end it before it began."""
        for name, value, kinds in (
            ("max_iter", self.max_iter, (int, np.integer)),
            ("tol", self.tol, (int, float, np.integer, np.floating)),
            ("memory_bytes", self.memory_bytes, (int, float, np.integer, np.floating)),
        ):
            if value is None and name != "max_iter":
                continue
            if not isinstance(value, kinds) or not 0 <= value < np.inf:
                whole = "a whole number" if name == "max_iter" else "a number"
                raise ProbeOptionError(f"{name} must be {whole} from 0 on, got {value!r}")

    def lane_bytes(self, lane: Lane) -> int:
        """Most bytes of features on this lane at a time."""
        return lane.memory_bytes // 2 if self.memory_bytes is None else self.memory_bytes
