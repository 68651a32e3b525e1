"""The minimum of every fit of one feature matrix: together at first, the laggards one by one."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np

from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, contrasts, precondition
from geneb_jax_probes.machines import CODES, Rules
from geneb_jax_probes.packing import Columns
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.resident import Resident
from geneb_jax_probes.row_grams import gram_sample
from geneb_jax_probes.settings import POLISH, POLISH_ABOVE, Settings
from geneb_jax_probes.streamed import Streamed

__all__ = ["solve_exactly"]

#: Steps after which a fit that goes on gets a preconditioner of its own, made where it has come to:
#: confident rows curve far less than at the start, where C is large and the classes come apart.
_STAGE_STEPS = 16
#: The factor of p weights costs p^3 products, a step p n: for each so many weights the stages of a
#: fit are as long again. Fits of more weights than the most go on with the factor they began with,
#: as do those of more logits: their Hessian needs a Gram matrix for every pair of classes.
_STAGE_VALUES = 1024
_MOST_VALUES = 4096
_MOST_LOGITS = 8
#: Relative distance from the minimum that the next stage covers without a new factor.
_NEARLY_THERE = 1e-6


def solve_exactly(
    held: Resident | Streamed,
    columns: Columns,
    gram: Any,
    curvature: float,
    settings: Settings,
    lane: Lane,
) -> Ended:
    """Solve some fits at some penalties, all with the Gram matrix ``[d, d]`` of all rows."""
    factors = _joined(
        lane.together(
            lambda penalty: precondition(gram, lane.state(penalty), lane.state(curvature)),
            columns.penalty.mean(axis=1, keepdims=True),
        )
    )
    values = columns.start.shape[1] * held.layout.width
    stage = settings.max_iter
    if values <= _MOST_VALUES and columns.start.shape[1] <= _MOST_LOGITS:
        stage = min(_STAGE_STEPS * max(1, values // _STAGE_VALUES), stage)
    ended = held.solve(columns, factors, settings.dtype, settings.rules, stage)
    fits = columns.penalty.shape[1]

    def finish(at: int) -> Ended:
        c, fit = divmod(at, fits)
        first = Preconditioner(factors.factors[c : c + 1], factors.curvature[c : c + 1])
        own = Ended(*(part[at : at + 1] for part in ended))
        return _finish(held, fit, columns.penalty[c, fit], first, own, stage, settings, lane)

    late = np.flatnonzero(_behind(ended, settings) | _stuck(ended, settings, lane)).tolist()
    if not late:
        return ended
    merged = Ended(*(np.array(part) for part in ended))
    for at, own in zip(late, lane.together(finish, late), strict=True):
        for part, value in zip(merged, own, strict=True):
            part[at] = value[0]
    return merged


def _joined(made: list[Preconditioner]) -> Preconditioner:
    """Factors of several penalties."""
    return Preconditioner(*(jnp.concatenate(part) for part in zip(*made, strict=True)))


def _behind(ended: Ended, settings: Settings) -> np.ndarray:
    """Which fits have steps left to take."""
    behind: np.ndarray = (ended.ending == CODES.index("max_iter")) & (
        ended.steps < settings.max_iter
    )
    return behind


def _stuck(ended: Ended, settings: Settings, lane: Lane) -> np.ndarray:
    """Which fits rounding in float32 stopped short of their promise, where float64 is to be had."""
    stuck: np.ndarray = (ended.ending != CODES.index("converged")) & (ended.gap > POLISH_ABOVE)
    return stuck & (settings.dtype == "float32") & (lane.state_dtype == "float64")


def _reached(ended: Ended) -> np.ndarray:
    """Where fits have come to, as a start: without what several logits have in common.

    The loss knows nothing of it, the penalty wants it gone, a factor in contrasts cannot see it.
    """
    theta = np.concatenate([ended.weights, ended.intercept[..., None]], axis=2)
    return theta if theta.shape[1] == 1 else theta - theta.mean(axis=1, keepdims=True)


def _finish(
    held: Resident | Streamed,
    fit: int,
    penalty: float,
    factors: Preconditioner,
    ended: Ended,
    stage: int,
    settings: Settings,
    lane: Lane,
) -> Ended:
    """One fit to its end: preconditioned anew from stage to stage; in float64 if it gets stuck."""

    def go_on(factors: Preconditioner, compute: Dtype, rules: Rules, most: int) -> Ended:
        columns = Columns(slice(fit, fit + 1), np.array([[penalty]]), _reached(ended))
        further = held.solve(columns, factors, compute, rules, most)
        return further._replace(steps=ended.steps + further.steps)

    while _behind(ended, settings).any():
        if float(ended.gap[0]) > _NEARLY_THERE:
            own = _own_factors(held, fit, penalty, ended, lane)
            # A Hessian that rounding leaves indefinite has no factor.
            factors = own if bool(jnp.isfinite(own.factors).all()) else factors
        most = min(stage, settings.max_iter - int(ended.steps[0]))
        ended = go_on(factors, settings.dtype, settings.rules, most)
    if _stuck(ended, settings, lane).any():
        ended = go_on(factors, "float64", POLISH, settings.max_iter)
    return ended


def _own_factors(
    held: Resident | Streamed, fit: int, penalty: float, ended: Ended, lane: Lane
) -> Preconditioner:
    """The factor of the Hessian of one fit where it has come to."""
    chances = held.layout.chances(ended.weights[0], ended.intercept[0])
    hessian = _hessian(held, chances, held.layout.columns[:, fit], lane)
    made = precondition(lane.put(hessian, owned=True), lane.state([penalty]), lane.state(1.0))
    return Preconditioner(made.factors, None)


def _hessian(
    held: Resident | Streamed, chances: np.ndarray, shares: np.ndarray, lane: Lane
) -> np.ndarray:
    """The Hessian of the mean loss by (contrast, feature and intercept), float32 ``[q, q]``.

    A pair of classes a and b adds ``(e_a - e_b)(e_a - e_b)^T`` times the Gram matrix of the rows, a
    one appended to each, weighted by ``p_a p_b``.
    """
    width = held.layout.width + 1

    def one_pair(pair: tuple[int, int]) -> np.ndarray:
        # One sample of the rows for the whole matrix: parts of several would not be definite.
        weights = gram_sample(chances[pair[0]] * chances[pair[1]] * shares, width - 1).weights
        made = np.empty((width, width), np.float32)
        made[:-1, :-1] = held.gram(weights)
        made[-1, :-1] = made[:-1, -1] = held.layout.weighted_sum(weights)
        made[-1, -1] = weights.sum()
        return made

    pairs = list(combinations(range(len(chances)), 2))
    between = lane.together(one_pair, pairs)
    if len(chances) == 2:
        return between[0]
    basis = contrasts(len(chances)).astype(np.float32)
    apart = np.stack([basis[:, a] - basis[:, b] for a, b in pairs])
    parts = np.einsum("pi,pj->ijp", apart, apart).reshape(-1, len(pairs))
    blocks = parts @ np.stack(between).reshape(len(pairs), -1)
    whole = blocks.reshape(len(basis), len(basis), width, width).swapaxes(1, 2)
    return np.ascontiguousarray(whole).reshape(len(basis) * width, -1)
