"""The line search of L-BFGS-B as a state machine of array operations.

More and Thuente's search in its MINPACK-2 form (``dcsrch``, ``dcstep``), which scipy's L-BFGS-B
calls: Jorge J. More and David J. Thuente, "Line search algorithms with guaranteed sufficient
decrease", ACM Transactions on Mathematical Software 20 (1994) 286-307. One call of
:func:`advance_search` is one return from ``dcsrch``; all problems of a batch advance together,
each in its own stage.

The state of a search is one array ``[..., 16]``, its columns named by :class:`LineSearch`. XLA
computes each result of a step by itself and repeats what results share, so sixteen scalar results
would be sixteen kernels and several times the compilation of one.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

__all__ = ["STEP_LIMIT", "LineSearch", "advance_search", "pack", "start_search", "unpack"]

#: ``ftol``, ``gtol``, ``xtol`` and ``stpmx`` of L-BFGS-B's ``lnsrlb``.
_SUFFICIENT_DECREASE = 1e-3
_CURVATURE = 0.9
_INTERVAL = 0.1
STEP_LIMIT = 1e10


class LineSearch(NamedTuple):
    """One search along a direction.

    ``best`` and ``other`` are the ends of the interval that holds a minimiser (``stx``, ``sty``),
    with value and slope there; ``low`` and ``high`` bound the next step. Flags are 0 or 1.
    """

    value_0: Float[Array, "*problem"]
    slope_0: Float[Array, "*problem"]
    step: Float[Array, "*problem"]
    best: Float[Array, "*problem"]
    best_value: Float[Array, "*problem"]
    best_slope: Float[Array, "*problem"]
    other: Float[Array, "*problem"]
    other_value: Float[Array, "*problem"]
    other_slope: Float[Array, "*problem"]
    low: Float[Array, "*problem"]
    high: Float[Array, "*problem"]
    width: Float[Array, "*problem"]
    width_before: Float[Array, "*problem"]
    bracketed: Shaped[Array, "*problem"]
    second_stage: Shaped[Array, "*problem"]
    evaluations: Shaped[Array, "*problem"]


def unpack(packed: Float[Array, "*problem column"]) -> list[Float[Array, "*problem"]]:
    """The columns of ``[..., count]``."""
    return [jax.lax.index_in_dim(packed, i, -1, keepdims=False) for i in range(packed.shape[-1])]


def pack(
    columns: list[Shaped[Array, "*problem"]], like: Float[Array, "*problem"]
) -> Float[Array, "*problem column"]:
    """Columns ``[...]`` as one array ``[..., count]`` of the dtype of ``like``.

    A chain of selections is one kernel over all columns; stacking would be one a column.
    """
    shape = (*like.shape, len(columns))
    number = jax.lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    packed = jnp.zeros(shape, like.dtype)
    axes = tuple(range(len(shape) - 1))
    for i, column in enumerate(columns):
        wide = jax.lax.broadcast_in_dim(column.astype(like.dtype), shape, axes)
        packed = jax.lax.select(number == i, wide, packed)
    return packed


def _columns(*names: str) -> np.ndarray:
    return np.isin(np.array(LineSearch._fields), names)


_VALUES = _columns("value_0", "best_value", "other_value")
_SLOPES = _columns("slope_0", "best_slope", "other_slope")
_STEPS = _columns("step")
_HIGHS = _columns("high")
_CONSTANTS = (
    STEP_LIMIT * _columns("width")
    + 2 * STEP_LIMIT * _columns("width_before")
    + _columns("evaluations")
)


def start_search(
    value: Float[Array, "*problem"], slope: Float[Array, "*problem"], step: Float[Array, "*problem"]
) -> Float[Array, "*problem column"]:
    """Begin at step 0 with this value and slope; ``step`` is the first trial."""
    shape = (*value.shape, len(_VALUES))

    def where(
        mask: Bool[np.ndarray, " column"],
        part: Float[Array, "*problem"],
        rest: Float[Array, "*problem column"],
    ) -> Float[Array, "*problem column"]:
        chosen = jnp.broadcast_to(jnp.asarray(mask), shape)
        return jax.lax.select(chosen, jnp.broadcast_to(part[..., None], shape), rest)

    packed = jnp.broadcast_to(jnp.asarray(_CONSTANTS, value.dtype), shape)
    packed = where(_HIGHS, 5.0 * step, where(_STEPS, step, packed))
    return where(_VALUES, value, where(_SLOPES, slope, packed))


def _next_step(
    s: LineSearch,
    bracketed: Bool[Array, "*problem"],
    higher: Bool[Array, "*problem"],
    opposite: Bool[Array, "*problem"],
    v: Float[Array, "*problem"],
    g: Float[Array, "*problem"],
) -> Float[Array, "*problem"]:
    """The step that ``dcstep`` chooses from a trial with value ``v`` and slope ``g``.

    Its four cases share one cubic: between ``base`` and ``mate``, the best point and the trial, or
    the trial and the other end.
    """
    pick = jax.lax.select
    step = s.step
    flatter = jnp.abs(g) < jnp.abs(s.best_slope)
    steeper = ~(higher | opposite | flatter)
    base = pick(higher, s.best, step)
    base_slope = pick(higher, s.best_slope, g)
    mate = pick(higher, step, pick(steeper, s.other, s.best))
    mate_slope = pick(higher, g, pick(steeper, s.other_slope, s.best_slope))
    fall = pick(higher, s.best_value, v) - pick(
        higher, v, pick(steeper, s.other_value, s.best_value)
    )
    gap = mate - base
    theta = 3.0 * fall / gap + base_slope + mate_slope
    scale = jnp.maximum(jnp.abs(theta), jnp.maximum(jnp.abs(base_slope), jnp.abs(mate_slope)))
    radicand = (theta / scale) ** 2 - (base_slope / scale) * (mate_slope / scale)
    size = scale * jnp.sqrt(jnp.maximum(radicand, 0.0))
    gamma = pick(gap < 0, -size, size)
    ratio = ((gamma - base_slope) + theta) / (((gamma - base_slope) + gamma) + mate_slope)
    edge = pick(step > s.best, s.high, s.low)
    # A cubic that runs off to infinity on the far side has its minimum at the edge.
    endless = flatter & ~higher & ~opposite & ~((ratio < 0.0) & (gamma != 0.0))
    cubic = pick(endless, edge, base + ratio * gap)

    chord = fall / gap + s.best_slope
    quadratic = s.best + 0.5 * (s.best_slope / chord) * (step - s.best)
    secant = step + (g / (g - s.best_slope)) * (s.best - step)
    rival = pick(higher, quadratic, secant)
    nearer = jnp.abs(cubic - base) < jnp.abs(rival - base)
    chosen_higher = pick(nearer, cubic, cubic + (quadratic - cubic) / 2.0)
    farther = jnp.abs(cubic - step) > jnp.abs(secant - step)
    chosen_far = pick(farther, cubic, secant)
    guard = step + 0.66 * (s.other - step)
    chosen_near = pick(nearer, cubic, secant)
    guarded = pick(step > s.best, jnp.minimum(guard, chosen_near), jnp.maximum(guard, chosen_near))
    clipped = jnp.maximum(s.low, jnp.minimum(s.high, chosen_far))
    lower = pick(flatter, pick(bracketed, guarded, clipped), pick(bracketed, cubic, edge))
    return pick(higher, chosen_higher, pick(opposite, chosen_far, lower))


def advance_search(
    packed: Float[Array, "*problem column"],
    value: Float[Array, "*problem"],
    slope: Float[Array, "*problem"],
    slack: float = 0.0,
) -> tuple[Float[Array, "*problem column"], Bool[Array, "*problem"]]:
    """Take value and slope at the current trial step; give the next trial, or finish.

    Args:
        packed: The searches, 16 columns each.
        value: Objective at the trial step.
        slope: Its derivative along the direction there.
        slack: Rounding noise of the objective, relative to it, that a trial may lie too high by;
            0 in the reference.

    Returns:
        The new searches, and whether each has ended at its ``step`` (by the Wolfe conditions, or
        because the interval cannot shrink further). An ended search is returned unchanged.
    """
    pick = jax.lax.select
    s = LineSearch(*unpack(packed))
    step, zero = s.step, jnp.zeros_like(s.step)
    bracketed, second = s.bracketed > 0, s.second_stage > 0
    decrease = _SUFFICIENT_DECREASE * s.slope_0
    ceiling = s.value_0 + step * decrease
    if slack:
        ceiling = ceiling + slack * jnp.abs(s.value_0)
    enough = value <= ceiling
    second = second | (enough & (slope >= 0.0))
    outside = (step <= s.low) | (step >= s.high) | (s.high - s.low <= _INTERVAL * s.high)
    ended = (
        (bracketed & outside)
        | ((step == STEP_LIMIT) & enough & (slope <= decrease))
        | ((step == 0.0) & (~enough | (slope >= decrease)))
        | (enough & (jnp.abs(slope) <= _CURVATURE * -s.slope_0))
    )

    # In the first stage, a lower value without enough decrease is judged by the function less
    # the line of sufficient decrease.
    tilt = pick(~second & (value <= s.best_value) & ~enough, decrease, zero)
    tilted = s._replace(
        best_value=s.best_value - s.best * tilt,
        best_slope=s.best_slope - tilt,
        other_value=s.other_value - s.other * tilt,
        other_slope=s.other_slope - tilt,
    )
    low_value, low_slope = value - step * tilt, slope - tilt
    higher = low_value > tilted.best_value
    opposite = ~higher & (low_slope * jnp.sign(tilted.best_slope) < 0.0)
    following = _next_step(tilted, bracketed, higher, opposite, low_value, low_slope)

    # The interval keeps the best point and, where the minimiser is bracketed, its other side.
    best = pick(higher, s.best, step)
    other = pick(higher, step, pick(opposite, s.best, s.other))
    bracketed = bracketed | higher | opposite
    gap = jnp.abs(other - best)
    halve = bracketed & (gap >= 0.66 * s.width_before)
    following = pick(halve, best + 0.5 * (other - best), following)
    ahead = following - best
    low = pick(bracketed, jnp.minimum(best, other), following + 1.1 * ahead)
    high = pick(bracketed, jnp.maximum(best, other), following + 4.0 * ahead)
    following = jnp.clip(following, 0.0, STEP_LIMIT)
    stuck = (following <= low) | (following >= high) | (high - low <= _INTERVAL * high)
    new = LineSearch(
        value_0=s.value_0,
        slope_0=s.slope_0,
        step=pick(bracketed & stuck, best, following),
        best=best,
        best_value=pick(higher, s.best_value, value),
        best_slope=pick(higher, s.best_slope, slope),
        other=other,
        other_value=pick(higher, value, pick(opposite, s.best_value, s.other_value)),
        other_slope=pick(higher, slope, pick(opposite, s.best_slope, s.other_slope)),
        low=low,
        high=high,
        width=pick(bracketed, gap, s.width),
        width_before=pick(bracketed, s.width, s.width_before),
        bracketed=bracketed,
        second_stage=second,
        evaluations=s.evaluations + 1,
    )
    wide = jnp.broadcast_to(ended[..., None], packed.shape)
    return pick(wide, packed, pack(list(new), step)), ended
