"""Solve the fits of one feature matrix on a lane, kept there or streamed through it."""

from __future__ import annotations

import numpy as np

from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, precondition
from geneb_jax_probes.machines import CODES
from geneb_jax_probes.packing import FeatureGroup, lay_out
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.resident import Resident, put_resident
from geneb_jax_probes.settings import POLISH, POLISH_ABOVE, Settings
from geneb_jax_probes.solutions import Solutions
from geneb_jax_probes.streamed import Streamed

__all__ = ["solve_feature_group"]

#: Penalties (values of C) that share one program of the exact solver: each needs a factor [d, d].
_PENALTIES_PER_CALL = 5


def solve_feature_group(
    group: FeatureGroup,
    problem: Problem,
    settings: Settings,
    lane: Lane,
    solutions: Solutions,
) -> None:
    """Solve every (fit, C) of one group and write the solutions."""
    layout = lay_out(group, problem, settings)
    budget = settings.lane_bytes(lane)
    size = layout.rows * layout.width * np.dtype(layout.dtype).itemsize
    held: Resident | Streamed
    if size <= budget:
        held = put_resident(layout, settings, lane)
    else:
        held = Streamed.within(layout, settings, lane, budget)
    start = np.zeros((len(group.fits), group.fits[0].logits, layout.width + 1))
    gram, curvature = None, 1.0
    if settings.exact:
        gram = held.gram()
        chances = [np.bincount(fit.codes, weights=fit.shares) for fit in group.fits]
        curvature = float(np.mean([np.mean(one * (1 - one)) for one in chances]))
        start[..., -1] = np.stack([fit.base_intercept for fit in group.fits])
    sums = np.array([fit.weight_sum for fit in group.fits])
    per_call = _PENALTIES_PER_CALL if settings.exact else len(settings.strengths)
    for first in range(0, len(settings.strengths), per_call):
        strengths = settings.strengths[first : first + per_call]
        # Columns run over C, then over subsets: the fits of one C share a factor.
        penalty = layout.scale**2 / (strengths[:, None] * sums[None, :])
        begin = np.tile(start, (len(strengths), 1, 1))
        if settings.exact:
            factors = precondition(gram, lane.state(penalty.mean(axis=1)), lane.state(curvature))
            ended = _solve_exactly(held, penalty, begin, factors, settings, lane)
        else:
            ended = held.solve(penalty, begin, None, settings.dtype, settings.rules)
        scaled = ended._replace(norm=ended.norm / layout.scale)
        for i in range(len(strengths)):
            for s, fit in enumerate(group.fits):
                at = i * len(group.fits) + s
                weights = ended.weights[at] * layout.scale
                solutions.put(fit, first + i, scaled, (at,), weights, layout.mean)


def _solve_exactly(
    held: Resident | Streamed,
    penalty: np.ndarray,
    start: np.ndarray,
    factors: Preconditioner,
    settings: Settings,
    lane: Lane,
) -> Ended:
    """Preconditioned; continued in float64 where float32 stops short of the minimum."""
    ended = held.solve(penalty, start, factors, settings.dtype, settings.rules)
    if settings.dtype == "float32" and lane.state_dtype == "float64":
        stuck = (ended.ending != CODES.index("converged")) & (ended.gap > POLISH_ABOVE)
        if stuck.any():
            reached = np.concatenate([ended.weights, ended.intercept[..., None]], axis=2)
            finer = held.solve(penalty, reached, factors, "float64", POLISH)
            ended = finer._replace(steps=ended.steps + finer.steps)
    return ended
