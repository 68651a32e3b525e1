"""How a call solves its problems: solver, precision, stops, memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax_probes.devices import Lane
from geneb_jax_probes.machines import REFERENCE, Rules
from geneb_jax_probes.problem import Dtype, Solver

__all__ = ["ACCEPTED_GAP", "EXACT", "POLISH", "POLISH_ABOVE", "Settings"]

#: The exact solver's machines. Step 1 is the Newton step where the search begins. A fit ends when
#: the next step promises less than ``gap`` of the objective.
EXACT: dict[Dtype, Rules] = {
    "float32": Rules(False, decrease=-3e-7, gap=1e-9, slack=3e-7, evaluations=12, patience=4),
    "float64": Rules(False, decrease=-4e-15, gap=1e-17, slack=2e-15, evaluations=20, patience=16),
}
#: What is promised of the exact solver: the objective is this near its minimum, relative to it.
ACCEPTED_GAP: dict[Dtype, float] = {"float32": 1e-6, "float64": 1e-9}
#: Continue a float32 fit in float64 where rounding stopped it further than this from the minimum.
POLISH_ABOVE = 1e-9
POLISH = Rules(short_first_step=False, decrease=0.0, gap=1e-9, slack=1e-15, evaluations=20)
_REFERENCE_TOL = 1e-4


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a call but its problems.

    Attributes:
        strengths: Values of C ``[C]``.
        solver: ``reference`` or ``exact``.
        tol: Gradient component to stop at; None for the solver's own.
        max_iter: Step limit.
        dtype: Precision of the products with X.
        memory_bytes: Most bytes of features that a lane holds at a time; a larger matrix is
            streamed through it in blocks of rows. None for half of the lane's memory.
    """

    strengths: np.ndarray
    solver: Solver
    tol: float | None
    max_iter: int
    dtype: Dtype
    memory_bytes: int | None = None

    @property
    def exact(self) -> bool:
        """Whether the minimum is sought, rather than scikit-learn's stop."""
        return self.solver == "exact"

    @property
    def rules(self) -> Rules:
        """Rules of the machines."""
        return EXACT[self.dtype] if self.exact else REFERENCE

    @property
    def norm_tol(self) -> float:
        """Gradient component to stop at: scikit-learn's 1e-4, or for the exact solver none."""
        if self.tol is not None:
            return self.tol
        return 0.0 if self.exact else _REFERENCE_TOL

    def lane_bytes(self, lane: Lane) -> int:
        """Most bytes of features on this lane at a time."""
        return lane.memory_bytes // 2 if self.memory_bytes is None else self.memory_bytes
