"""Bring few-shot matrices of many problems to a lane and solve them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended
from geneb_jax_probes.plan import Fit
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.row_solver import solve_rows
from geneb_jax_probes.scaling import centre_and_scale
from geneb_jax_probes.settings import EXACT, Settings
from geneb_jax_probes.solutions import Solutions

__all__ = ["RowGroup", "solve_row_group"]


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Fits whose matrices have one padded shape, from any problems of one width.

    Attributes:
        fits: The fits, at most ``capacity``.
        rows: Rows that each matrix is padded to.
        capacity: Matrices of one program; those beyond the fits are empty and end at once.
    """

    fits: tuple[Fit, ...]
    rows: int
    capacity: int


def solve_row_group(
    group: RowGroup,
    problems: Sequence[Problem],
    settings: Settings,
    lane: Lane,
    solutions: Sequence[Solutions],
) -> None:
    """Solve every (fit, C) of one group and write the solutions.

    Everything is computed in float64 where the hardware has it, also for float32 features: the
    matrices are small, and rounding decides rows near the boundary.
    """
    first = group.fits[0]
    width = problems[first.problem].X.shape[1]
    wide = any(problems[fit.problem].X.dtype == np.float64 for fit in group.fits)
    state = np.dtype(lane.state_dtype)
    shape = (group.capacity, group.rows)
    X = np.zeros((*shape, width), state if wide else np.float32)
    codes = np.zeros(shape, np.int32)
    shares = np.zeros(shape, state)
    penalty = np.ones((group.capacity, len(settings.strengths)), state)
    start = np.zeros((group.capacity, first.logits), state)
    means = np.zeros((group.capacity, width))
    scales = np.ones(group.capacity)
    for t, fit in enumerate(group.fits):
        count = len(fit.codes)
        features = problems[fit.problem].X
        features = features if fit.rows is None else features[fit.rows]
        if settings.exact:
            means[t], scales[t] = centre_and_scale(features)
            features = features - means[t].astype(features.dtype)
            features = features * np.asarray(scales[t], features.dtype)
            start[t] = fit.base_intercept
        X[t, :count], codes[t, :count], shares[t, :count] = features, fit.codes, fit.shares
        penalty[t] = scales[t] ** 2 / (settings.strengths * fit.weight_sum)
    precise = settings.exact and state == np.float64
    ended: Ended = lane.call(
        solve_rows,
        lane.put(X),
        lane.put(codes),
        lane.put(shares),
        lane.put(penalty),
        lane.put(start),
        lane.state(settings.norm_tol),
        lane.state(settings.max_iter),
        rules=EXACT["float64"] if precise else settings.rules,
        exact=settings.exact,
    )
    weights = np.asarray(ended.weights)
    for t, fit in enumerate(group.fits):
        coef = scales[t] * (weights[t] @ X[t].astype(state, copy=False))
        for c in range(len(settings.strengths)):
            solutions[fit.problem].put(fit, c, ended, (t, c), coef[c], means[t])
