"""L-BFGS as one small state machine a problem: scipy's rules, or those of an exact solver.

One *tick* takes the value and gradient at every problem's trial point and moves every machine on:
to the next trial of its line search, to the next direction, or to its end. Problems at different
steps never wait for each other.

Under :data:`REFERENCE` the rules are those of ``setulb`` without bounds (L-BFGS-B 3.0, as in scipy
1.17) with scikit-learn's options: 10 pairs, first step ``min(1, 1/||g||)``, at most 50 evaluations
a search, a pair skipped unless ``s.y > eps |g.d|``, the memory dropped when a search fails, stops
at ``max|g| <= tol``, at a relative decrease of 64 eps, and at ``max_iter`` steps.

A gradient comes as a *vector* of the space that is searched and as its *dual*, which gives inner
products: ``<u, g> = u . dual(g)``. In the coordinates of the features the two are one array (and
``dual`` is None). In those of the rows a vector is multiples of the rows and its dual the Gram
matrix times these. With a preconditioner P the dual is the gradient and the vector P times it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.lbfgs.compact_memory import (
    PAIRS,
    PairMatrices,
    empty_matrices,
    renew,
    write_pair,
)
from geneb_jax_probes.lbfgs.more_thuente import (
    STEP_LIMIT,
    LineSearch,
    advance_search,
    pack,
    start_search,
    unpack,
)

__all__ = [
    "CONVERGED",
    "LINE_SEARCH",
    "OWN",
    "REFERENCE",
    "SLOPE_0",
    "STEP",
    "Evaluation",
    "Machine",
    "Progress",
    "Rules",
    "begin",
    "judge",
    "progress",
    "promised",
    "tick",
    "trial_points",
]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Rules:
    """What distinguishes one use of the machines from another.

    Attributes:
        short_first_step: Begin with a step of length at most 1, instead of with step 1.
        decrease: Stop at this decrease of the objective, relative to the larger of it and 1.
        gap: Stop where the step to come promises less than this, relative to the objective.
        slack: Relative rounding noise of the objective that a line search forgives.
        evaluations: Evaluations after which a line search is given up.
        patience: Stop after so many steps, in all, that did not lower the objective beyond its
            rounding; 0: never for that reason. Such steps still refine the weights, up to a point.
    """

    short_first_step: bool
    decrease: float
    gap: float
    slack: float
    evaluations: int
    patience: int = 0


#: scikit-learn's LogisticRegression(solver="lbfgs") on scipy's L-BFGS-B.
REFERENCE = Rules(short_first_step=True, decrease=64 * _EPS, gap=0.0, slack=0.0, evaluations=50)

#: Endings as the scalars hold them; 0 is a machine still at work.
CONVERGED, _NO_PROGRESS, _MAX_ITER, LINE_SEARCH, _NOT_FINITE = (
    float(ending.code)
    for ending in (
        Ending.CONVERGED,
        Ending.NO_PROGRESS,
        Ending.MAX_ITER,
        Ending.LINE_SEARCH,
        Ending.NOT_FINITE,
    )
)


class Machine(NamedTuple):
    """The state of a batch of problems, problem axis first."""

    base: Float[Array, "*problem p"]  # the last accepted point
    direction: Float[Array, "*problem p"]
    gradient: Float[Array, "*problem p"]  # at base
    dual: Float[Array, "*problem p"] | None  # of the gradient; None where it is the gradient
    pairs: Float[Array, "*problem row p"]  # 2 m rows: steps, then changes of the gradient
    matrices: PairMatrices
    scalars: Float[Array, "*problem column"]  # Progress, then LineSearch


class Progress(NamedTuple):
    """The scalars of a problem besides its line search."""

    value: Float[Array, "*problem"]  # objective at base
    norm: Float[Array, "*problem"]  # max|g| at base
    steps: Float[Array, "*problem"]  # -1 before the first evaluation
    ending: Shaped[Array, "*problem"]  # 0 at work, else the code of an Ending
    gamma: Float[Array, "*problem"]
    pair_count: Float[Array, "*problem"]  # pairs added since the memory was last dropped
    accepted: Shaped[Array, "*problem"]  # whether the last tick accepted its trial point
    given_up: Shaped[Array, "*problem"]  # whether it gave its line search up
    slot: Float[Array, "*problem"]  # where its pair goes; -1 for no pair
    level: Float[
        Array, "*problem"
    ]  # steps so far that did not lower the objective beyond its rounding


class Evaluation(NamedTuple):
    """The objective at the trial points, problem axis first."""

    value: Float[Array, "*problem"]
    gradient: Float[Array, "*problem p"]
    dual: Float[Array, "*problem p"] | None
    norm: Float[Array, "*problem"]  # max|g| in the original coordinates


OWN = len(Progress._fields)
STEP = OWN + LineSearch._fields.index("step")
SLOPE_0 = OWN + LineSearch._fields.index("slope_0")


def progress(machines: Machine) -> Progress:
    """The scalars of every problem."""
    return Progress(*unpack(machines.scalars[..., :OWN]))


def begin(points: Float[Array, "problem p"], *, with_dual: bool) -> Machine:
    """Machines that ask for value and gradient at ``points``."""
    count, width = points.shape
    zero = jnp.zeros(count, points.dtype)
    matrices = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), empty_matrices(points.dtype)
    )
    own = [zero, zero, zero - 1, zero, zero + 1, zero, zero, zero, zero - 1, zero]
    return Machine(
        base=points,
        direction=jnp.zeros_like(points),
        gradient=jnp.zeros_like(points),
        dual=jnp.zeros_like(points) if with_dual else None,
        pairs=jnp.zeros((count, 2 * PAIRS, width), points.dtype),
        matrices=matrices,
        scalars=jnp.concatenate([pack(own, zero), start_search(zero, zero - 1, zero)], axis=1),
    )


def promised(machines: Machine) -> Float[Array, " problem"]:
    """What the step to come would gain, relative to the objective: an estimate of the gap."""
    value = jnp.maximum(jnp.abs(progress(machines).value), jnp.finfo(machines.base.dtype).tiny)
    return -0.5 * machines.scalars[:, SLOPE_0] / value


def trial_points(machines: Machine) -> Float[Array, "problem p"]:
    """Where the machines want to be evaluated."""
    return machines.base + machines.scalars[:, STEP, None] * machines.direction


def tick(
    machines: Machine,
    found: Evaluation,
    tol: Float[Array, ""],
    max_iter: Float[Array, ""],
    rules: Rules,
) -> Machine:
    """Move every machine on, given what was found at its trial point.

    The conditionals save the work of a turn where no search ends. They are also walls that XLA
    does not fuse across: without them each result of the tick repeats the decisions before it.
    """
    dual = found.gradient if found.dual is None else found.dual
    slope = jnp.sum(dual * machines.direction, axis=1)
    scalars = jax.lax.cond(
        jnp.any(progress(machines).ending == 0),
        partial(judge, rules),
        lambda scalars, *_: scalars,
        machines.scalars, found.value, found.norm, slope, tol, max_iter,
    )  # fmt: skip
    judged = Progress(*unpack(scalars[..., :OWN]))
    return jax.lax.cond(
        jnp.any(judged.accepted + judged.given_up > 0),
        jax.vmap(partial(_turn, rules)),
        lambda machines, found, scalars: machines._replace(scalars=scalars),
        machines, found, scalars,
    )  # fmt: skip


def judge(
    rules: Rules,
    scalars: Float[Array, "problem column"],
    value: Float[Array, " problem"],
    norm: Float[Array, " problem"],
    slope: Float[Array, " problem"],
    tol: Float[Array, ""],
    max_iter: Float[Array, ""],
) -> Float[Array, "problem column"]:
    """Decide on each trial point; the new scalars, but for what depends on a new direction."""
    pick = jax.lax.select
    old = Progress(*unpack(scalars[..., :OWN]))
    before = scalars[..., OWN:]
    search, ended = advance_search(before, value, slope, rules.slack)
    was = LineSearch(*unpack(before))
    first = old.steps < 0
    ended = ended & ~first
    given_up = ~(ended | first) & (was.evaluations >= rules.evaluations)
    accepted = first | ended
    search = pick(jnp.broadcast_to(first[:, None], search.shape), before, search)
    new_pair = ended & ((slope - was.slope_0) * was.step > _EPS * -was.slope_0 * was.step)

    def ends(
        condition: Bool[Array, " problem"], code: float, otherwise: Float[Array, " problem"]
    ) -> Float[Array, " problem"]:
        return pick(condition, jnp.full_like(value, code), otherwise)

    steps = old.steps + accepted.astype(value.dtype)
    size = jnp.maximum(jnp.abs(old.value), jnp.abs(value))
    stalled = old.value - value <= rules.decrease * jnp.maximum(size, 1.0)
    level = old.level + (ended & (old.value - value <= 2 * _EPS * size)).astype(value.dtype)
    wild = ~(jnp.isfinite(value) & jnp.isfinite(norm))
    ending = ends(given_up & (old.pair_count == 0), LINE_SEARCH, old.ending)
    ending = ends(ended & stalled, _NO_PROGRESS, ending)
    if rules.patience:
        ending = ends(ended & (level >= rules.patience), _NO_PROGRESS, ending)
    ending = ends(accepted & (steps >= max_iter), _MAX_ITER, ending)
    ending = ends(accepted & wild, _NOT_FINITE, ending)
    ending = ends(accepted & (norm <= tol), CONVERGED, ending)
    new = Progress(
        value=pick(accepted, value, old.value),
        norm=pick(accepted, norm, old.norm),
        steps=steps,
        ending=ending,
        gamma=ends(given_up, 1.0, old.gamma),
        pair_count=ends(given_up, 0.0, old.pair_count),
        accepted=accepted,
        given_up=given_up,
        slot=pick(new_pair, jnp.mod(old.pair_count, PAIRS), jnp.full_like(value, -1.0)),
        level=level,
    )
    judged = jnp.concatenate([pack(list(new), value), search], axis=1)
    idle = scalars * jnp.asarray(_NO_VERDICT[0], value.dtype) - jnp.asarray(
        _NO_VERDICT[1], value.dtype
    )
    live = jnp.broadcast_to((old.ending == 0)[:, None], scalars.shape)
    return pick(live, judged, idle)


def _no_verdict() -> tuple[Float[np.ndarray, "1 column"], Float[np.ndarray, "1 column"]]:
    """Factors and subtrahends that leave a row of scalars, but for what the last tick decided."""
    names = np.array([*Progress._fields, *LineSearch._fields])
    factor = np.where(np.isin(names, ("accepted", "given_up", "slot")), 0.0, 1.0)
    return factor[None, :], np.where(names == "slot", 1.0, 0.0)[None, :]


_NO_VERDICT = _no_verdict()


def _turn(
    rules: Rules, old: Machine, found: Evaluation, scalars: Float[Array, " column"]
) -> Machine:
    """One problem: set out from the accepted trial point, or anew from the old one; or go on."""
    pick = jnp.where
    seen = Progress(*unpack(scalars[:OWN]))
    accepted, fresh = seen.accepted > 0, seen.slot >= 0
    moved = accepted | (seen.given_up > 0)
    plain = found.dual is None or old.dual is None
    dual = found.gradient if found.dual is None else found.dual
    old_dual = old.gradient if old.dual is None else old.dual

    # The new pair, and every inner product with it and with the new gradient, in one product.
    travelled = old.scalars[STEP] * old.direction
    pairs = write_pair(old.pairs, seen.slot, travelled, found.gradient - old.gradient)
    here = pick(accepted, found.gradient, old.gradient)
    here_dual = here if plain else pick(accepted, dual, old_dual)
    dots = pairs @ jnp.stack([here_dual, dual - old_dual], axis=1)
    mark = (jnp.arange(PAIRS, dtype=dots.dtype) == seen.slot).astype(dots.dtype)
    s_dot_y, y_dot_y = mark @ dots[:PAIRS, 1], mark @ dots[PAIRS:, 1]
    gamma = pick(fresh, s_dot_y / pick(fresh, y_dot_y, 1.0), seen.gamma)
    matrices, a, b = renew(
        old.matrices,
        mark,
        (seen.pair_count > 0).astype(dots.dtype),
        1 / pick(fresh, s_dot_y, 1.0),
        gamma,
        dots[:PAIRS],
        dots[PAIRS:],
    )
    newton = -(gamma * here + jnp.concatenate([a, b]) @ pairs)

    # A direction that does not descend (or is NaN) drops the memory, as an impossible search does.
    downhill = here_dual @ newton
    bad = ~(downhill < 0)
    downhill = pick(bad, -(here_dual @ here), downhill)
    pair_count = seen.pair_count + fresh.astype(dots.dtype)
    drop = bad & moved
    ending = seen.ending
    if rules.gap:
        small = accepted & (-downhill <= 2 * rules.gap * jnp.abs(seen.value))
        ending = pick(small & (ending == 0), CONVERGED, ending)
    ending = pick(drop & (pair_count == 0) & (ending == 0), LINE_SEARCH, ending)
    first_step = jnp.ones_like(downhill)
    if rules.short_first_step:
        length = jnp.minimum(1.0 / jnp.sqrt(-downhill), STEP_LIMIT)
        first_step = pick(seen.steps == 0, length, first_step)
    own = seen._replace(
        ending=ending, gamma=pick(drop, 1.0, gamma), pair_count=pick(drop, 0.0, pair_count)
    )
    search = pick(moved, start_search(seen.value, downhill, first_step), scalars[OWN:])
    return Machine(
        base=pick(accepted, old.base + travelled, old.base),
        direction=pick(moved, pick(bad, -here, newton), old.direction),
        gradient=here,
        dual=None if plain else here_dual,
        pairs=pairs,
        matrices=matrices,
        scalars=jnp.concatenate([pack(list(own), downhill), search]),
    )
