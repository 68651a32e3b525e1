"""Run equal layers as one scanned program, so that compile time does not grow with depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = ["scan_layers"]

LayerT = TypeVar("LayerT", bound=nnx.Module)
CarryT = TypeVar("CarryT")


def scan_layers(
    layers: LayerT, carry: CarryT, apply: Callable[[LayerT, CarryT], CarryT], *, count: int
) -> CarryT:
    """Apply the first ``count`` layers in order.

    Args:
        layers: One module whose parameters carry a leading layer axis (``stack=(layer_count,)``).
        carry: What the layers pass on; usually the hidden states.
        apply: One layer: ``(layer, carry) -> carry``.
        count: How many layers to run; fewer than there are gives an inner hidden state.
    """
    definition, stacked = nnx.split(layers)

    def step(carry: CarryT, index: jax.Array) -> tuple[CarryT, None]:
        # Indexed inside the loop: slicing the stack first would copy every weight of the model.
        here = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], stacked)
        return apply(nnx.merge(definition, here), carry), None

    carry, _ = jax.lax.scan(step, carry, jnp.arange(count))
    return carry
