"""Few-shot matrices of one shape, solved together in the coordinates of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from geneb_jax_probes.fits import FitCollector
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.matrix.few_rows import pack_rows
from geneb_jax_probes.plan import RowGroup
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["solve_row_group"]


def solve_row_group(
    group: RowGroup,
    features: Sequence[Float[np.ndarray, "_ _"]],
    solver: Solver,
    settings: Settings,
    collectors: Mapping[int, FitCollector] | Sequence[FitCollector],
    lane: Lane,
) -> None:
    """Solve every (fit, C) of a group and hand the solutions in.

    Args:
        group: The fits; their numbers of problems are those of ``features`` and ``collectors``.
        features: Of each problem.
        solver: One that solves by rows.
        settings: Of the call.
        collectors: Where solutions go, by problem.
        lane: Where.
    """
    matrices = pack_rows(
        group,
        features,
        settings.strengths,
        lane,
        centre=solver.centres,
        dtype=settings.dtype,
        start=solver.start,
    )
    ended = solver.solve_rows(matrices, settings)
    for t, fit in enumerate(group.fits):
        weights = solver.row_weights(matrices, t, np.asarray(ended.weights)[t], settings)
        for c in range(len(settings.strengths)):
            collectors[fit.problem].put(fit, c, ended, (t, c), weights[c], matrices.mean[t])
