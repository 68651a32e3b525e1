"""Layers of two kinds in any order, as one scanned program: its size grows with neither number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

__all__ = ["scan_mixed_layers"]

CarryT = TypeVar("CarryT")


def scan_mixed_layers(
    first: nnx.Module,
    second: nnx.Module,
    is_second: Sequence[bool],
    carry: CarryT,
    *,
    apply_first: Callable[[Any, CarryT], CarryT],
    apply_second: Callable[[Any, CarryT], CarryT],
    each: Callable[[CarryT], Any] | None = None,
) -> tuple[CarryT, Any]:
    """Apply layers in order, each taken from the stack of its kind.

    Args:
        first: One module whose parameters carry a leading layer axis.
        second: The same of the other kind.
        is_second: Of each layer, whether it is of the second kind.
        carry: What the layers pass on.
        apply_first: One layer of the first kind: ``(layer, carry) -> carry``.
        apply_second: One layer of the second kind.
        each: As of :func:`~geneb_jax.models.layers.scanned_layers.scan_layers`, as the result is.
    """
    kinds = np.asarray(is_second, bool)
    # The place of each layer in the stack of its kind.
    places = np.where(kinds, np.cumsum(kinds), np.cumsum(~kinds)) - 1
    branches = [
        _branch(first, apply_first),
        _branch(second, apply_second),
    ]

    def step(carry: CarryT, layer: tuple[jax.Array, jax.Array]) -> tuple[CarryT, Any]:
        kind, place = layer
        kept = None if each is None else each(carry)
        return jax.lax.cond(kind, branches[1], branches[0], place, carry), kept

    if not len(kinds):
        return carry, None
    return jax.lax.scan(step, carry, (jnp.asarray(kinds), jnp.asarray(places)))


def _branch(layers: nnx.Module, apply: Callable[[Any, CarryT], CarryT]) -> Callable[..., CarryT]:
    definition, stacked = nnx.split(layers)

    def run(place: jax.Array, carry: CarryT) -> CarryT:
        here = jax.tree.map(lambda leaf: jnp.asarray(leaf)[place], stacked)
        return apply(nnx.merge(definition, here), carry)

    return run
