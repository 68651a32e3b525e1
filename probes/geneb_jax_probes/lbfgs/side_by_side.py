"""Machines side by side: a vector is as many columns of one table as its machine has logits.

The rules, the search and the memory are those of :mod:`~geneb_jax_probes.lbfgs.machines`, of which
the states are ``[column, ...]``: a machine has the place of its first column, places of further
columns hold no machine. Inner products are sums over a column, then over the columns of a machine,
in their order. What a machine does depends on its own columns alone.

No conditional stands in a tick, since a GPU's host would have to read its predicate. What was
decided is kept apart from what follows by barriers, or XLA would decide anew for every number.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_probes.lbfgs.compact_memory import PAIRS, renew
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import (
    CONVERGED,
    LINE_SEARCH,
    OWN,
    STEP,
    Machine,
    Progress,
    Rules,
    judge,
    progress,
)
from geneb_jax_probes.lbfgs.more_thuente import STEP_LIMIT, pack, start_search, unpack

__all__ = ["Columns", "Found", "at_work", "move_on", "over_columns", "trial_columns"]


class Columns(NamedTuple):
    """Whose the columns are."""

    owner: Int[Array, " column"]  # the first column of the machine
    logits: Int[Array, " column"]  # of the machine at its first column; 0 elsewhere


class Found(NamedTuple):
    """The objective at the trial points; of machines that are not at work anything."""

    value: Float[Array, " column"]  # at the first column of a machine
    gradient: Float[Array, "column dim"]
    norm: Float[Array, " column"]  # max|g|, likewise
    dual: Float[Array, "column dim"] | None = None  # of the gradient; None where it is the gradient


def at_work(machines: Machine, columns: Columns) -> Bool[Array, " column"]:
    """Which columns are the first of a machine that has not ended."""
    return (progress(machines).ending == 0) & (columns.logits > 0)


def trial_columns(machines: Machine, columns: Columns) -> Float[Array, "column dim"]:
    """Where the machines want to be evaluated."""
    return machines.base + machines.scalars[columns.owner, STEP, None] * machines.direction


def over_columns(
    parts: Float[Array, column * some], columns: Columns, most_logits: int, *, largest: bool = False
) -> Float[Array, column * some]:
    """Sums (or largest) over the columns of every machine, at its first; elsewhere 0."""
    number = jnp.arange(most_logits, dtype=columns.logits.dtype)[None, :]
    at = jnp.arange(len(parts), dtype=columns.logits.dtype)[:, None] + number
    there = number < columns.logits[:, None]
    found = parts[jnp.minimum(at, len(parts) - 1)]
    found = jnp.where(there.reshape(*there.shape, *[1] * (parts.ndim - 1)), found, 0)
    return jnp.max(found, axis=1) if largest else jnp.sum(found, axis=1)


def move_on(
    old: Machine, found: Found, columns: Columns, stop: Stop, rules: Rules, most_logits: int
) -> Machine:
    """One tick: take what was found at the trial points, and move every machine on."""
    total = partial(over_columns, columns=columns, most_logits=most_logits)
    owner, live = columns.owner, at_work(old, columns)
    gradient = jnp.where(live[owner][:, None], found.gradient, old.gradient)
    dual, old_dual = gradient, old.gradient
    plain = found.dual is None or old.dual is None
    if found.dual is not None and old.dual is not None:
        dual, old_dual = jnp.where(live[owner][:, None], found.dual, old.dual), old.dual
    slope = total(jnp.sum(dual * old.direction, axis=1))
    scalars = judge(rules, old.scalars, found.value, found.norm, slope, *stop)
    scalars = jnp.where(live[:, None], scalars, old.scalars)
    scalars = jax.lax.optimization_barrier(scalars)
    seen = Progress(*unpack(scalars[:, :OWN]))
    accepted, fresh = live & (seen.accepted > 0), live & (seen.slot >= 0)
    moved = accepted | (live & (seen.given_up > 0))

    # The new pairs, and every inner product with them and with the new gradients, in one product.
    travelled = old.scalars[owner, STEP, None] * old.direction
    change = gradient - old.gradient
    number = jnp.arange(len(owner), dtype=owner.dtype)
    slot = jnp.where(fresh, seen.slot, 2 * PAIRS).astype(owner.dtype)[owner]
    pairs = old.pairs.at[number, slot].set(travelled, mode="drop", unique_indices=True)
    second = jnp.where(slot < PAIRS, slot + PAIRS, slot)
    pairs = pairs.at[number, second].set(change, mode="drop", unique_indices=True)
    here = jnp.where(accepted[owner][:, None], gradient, old.gradient)
    here_dual, dual_change = here, change
    if not plain:
        here_dual = jnp.where(accepted[owner][:, None], dual, old_dual)
        dual_change = dual - old_dual
    dots = total(jnp.einsum("qrd,qjd->qrj", pairs, jnp.stack([here_dual, dual_change], axis=1)))
    mark = fresh[:, None] & (jnp.arange(PAIRS, dtype=dots.dtype)[None, :] == seen.slot[:, None])
    mark = mark.astype(dots.dtype)
    s_dot_y = jnp.sum(mark * dots[:, :PAIRS, 1], axis=1)
    y_dot_y = jnp.sum(mark * dots[:, PAIRS:, 1], axis=1)
    gamma = jnp.where(fresh, s_dot_y / jnp.where(fresh, y_dot_y, 1.0), seen.gamma)
    kept = (seen.pair_count > 0).astype(dots.dtype)
    scale = 1 / jnp.where(fresh, s_dot_y, 1.0)
    matrices, a, b = jax.lax.optimization_barrier(
        jax.vmap(renew)(old.matrices, mark, kept, scale, gamma, dots[:, :PAIRS], dots[:, PAIRS:])
    )
    weights = jnp.concatenate([a, b], axis=1)[owner]
    newton = -(gamma[owner][:, None] * here + jnp.einsum("qr,qrd->qd", weights, pairs))

    # A direction that does not descend (or is NaN) drops the memory, as an impossible search does.
    lengths = jnp.stack(
        [jnp.sum(here_dual * newton, axis=1), jnp.sum(here_dual * here, axis=1)], axis=1
    )
    downhill, square = unpack(total(lengths))
    bad = ~(downhill < 0)
    downhill = jnp.where(bad, -square, downhill)
    pair_count = seen.pair_count + fresh.astype(dots.dtype)
    drop = bad & moved
    ending = seen.ending
    if rules.gap:
        small = accepted & (-downhill <= 2 * rules.gap * jnp.abs(seen.value))
        ending = jnp.where(small & (ending == 0), CONVERGED, ending)
    ending = jnp.where(drop & (pair_count == 0) & (ending == 0), LINE_SEARCH, ending)
    first_step = jnp.ones_like(downhill)
    if rules.short_first_step:
        length = jnp.minimum(1.0 / jnp.sqrt(-downhill), STEP_LIMIT)
        first_step = jnp.where(seen.steps == 0, length, first_step)
    own = seen._replace(
        ending=ending,
        gamma=jnp.where(drop, 1.0, gamma),
        pair_count=jnp.where(drop, 0.0, pair_count),
    )
    search = start_search(seen.value, downhill, first_step)
    search = jnp.where(moved[:, None], search, scalars[:, OWN:])
    advanced = jnp.concatenate([pack(list(own), downhill), search], axis=1)
    bad, moved, scalars = jax.lax.optimization_barrier(
        (bad, moved, jnp.where(live[:, None], advanced, scalars))
    )
    direction = jnp.where(bad[owner][:, None], -here, newton)
    return Machine(
        base=jnp.where(accepted[owner][:, None], old.base + travelled, old.base),
        direction=jnp.where(moved[owner][:, None], direction, old.direction),
        gradient=here,
        dual=None if plain else here_dual,
        pairs=pairs,
        matrices=matrices,
        scalars=scalars,
    )
