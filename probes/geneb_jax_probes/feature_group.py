"""Solve the fits of one feature matrix on a lane, kept there or streamed through it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, precondition
from geneb_jax_probes.machines import CODES, Rules
from geneb_jax_probes.packing import FeatureGroup, lay_out
from geneb_jax_probes.problem import Dtype, Problem
from geneb_jax_probes.resident import Resident, put_resident
from geneb_jax_probes.settings import POLISH, POLISH_ABOVE, Settings
from geneb_jax_probes.solutions import Solutions
from geneb_jax_probes.streamed import Streamed

__all__ = ["solve_feature_group"]

#: Penalties (values of C) that share one program of the exact solver: each needs a factor [d, d].
_PENALTIES_PER_CALL = 5
#: Steps after which a fit that goes on gets a preconditioner of its own, made where it has come to:
#: confident rows curve far less than at the start, where C is large and the classes come apart.
_STAGE_STEPS = 16
#: Most fits of one call that get one, each a factor [d, d].
_MOST_FACTORS = 10
_LEAST_CURVATURE = 1e-12


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
        gram = held.gram(layout.columns.mean(axis=1))
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
            ended = held.solve(
                penalty, begin, None, settings.dtype, settings.rules, settings.max_iter
            )
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
    """Preconditioned, anew where that takes many steps; in float64 where float32 stops short."""
    # Of several logits a row's curvature is a matrix, whose mean helps no further (measured).
    own_factors = start.shape[1] == 1 and len(start) <= _MOST_FACTORS
    stage = min(_STAGE_STEPS, settings.max_iter) if own_factors else settings.max_iter
    ended = held.solve(penalty, start, factors, settings.dtype, settings.rules, stage)
    while own_factors:
        behind = (ended.ending == CODES.index("max_iter")) & (ended.steps < settings.max_iter)
        if not behind.any():
            break
        factors = _anew(held, penalty, ended, behind, factors, lane)
        stage = min(_STAGE_STEPS, settings.max_iter - int(ended.steps[behind].min()))
        ended = _continued(held, penalty, ended, factors, settings.dtype, settings.rules, stage)
    if settings.dtype == "float32" and lane.state_dtype == "float64":
        stuck = (ended.ending != CODES.index("converged")) & (ended.gap > POLISH_ABOVE)
        if stuck.any():
            most = settings.max_iter
            ended = _continued(held, penalty, ended, factors, "float64", POLISH, most)
    return ended


def _anew(
    held: Resident | Streamed,
    penalty: np.ndarray,
    ended: Ended,
    behind: np.ndarray,
    factors: Preconditioner,
    lane: Lane,
) -> Preconditioner:
    """Factors of the Hessian where the fits that are behind have come to; others keep theirs."""
    layout = held.layout
    curvatures = layout.curvatures(ended.weights, ended.intercept)
    shares = np.tile(layout.columns.T, (len(penalty), 1))
    kept = len(ended.steps) // len(factors.curvature)
    made: list[Preconditioner] = []
    for at, strength in enumerate(penalty.reshape(-1)):
        if behind[at]:
            weights = curvatures[at] * shares[at]
            total = max(float(weights.sum()), _LEAST_CURVATURE)
            gram = held.gram(weights / total)
            made.append(precondition(gram, lane.state(strength[None]), lane.state(total)))
        else:
            own = slice(at // kept, at // kept + 1)
            made.append(Preconditioner(factors.factors[own], factors.curvature[own]))
    return Preconditioner(*(jnp.concatenate(part) for part in zip(*made, strict=True)))


def _continued(
    held: Resident | Streamed,
    penalty: np.ndarray,
    ended: Ended,
    factors: Preconditioner,
    compute: Dtype,
    rules: Rules,
    most: int,
) -> Ended:
    """The machines set out again from where they ended; steps are counted on."""
    reached = np.concatenate([ended.weights, ended.intercept[..., None]], axis=2)
    further = held.solve(penalty, reached, factors, compute, rules, most)
    return further._replace(steps=ended.steps + further.steps)
