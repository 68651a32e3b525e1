"""Run equal layers as one scanned program, so that compile time does not grow with depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = ["scan_layers"]

LayerT = TypeVar("LayerT", bound=nnx.Module)
CarryT = TypeVar("CarryT")


def scan_layers(
    layers: LayerT,
    carry: CarryT,
    apply: Callable[[LayerT, CarryT], CarryT],
    *,
    count: int,
    each: Callable[[CarryT], Any] | None = None,
) -> tuple[CarryT, Any]:
    """Apply the first ``count`` layers in order.

    Args:
        layers: One module whose parameters carry a leading layer axis (``stack=(layer_count,)``).
        carry: What the layers pass on; usually the hidden states.
        apply: One layer: ``(layer, carry) -> carry``.
        count: How many layers to run; fewer than there are gives an inner hidden state.
        each: What is kept of the state in front of each layer, much smaller than the state itself;
            nothing when None.

    Returns:
        The last state, and what ``each`` gave, with a leading axis ``count`` long: of hidden states
        0 to ``count - 1``.
    """
    definition, stacked = nnx.split(layers)

    def step(carry: CarryT, index: jax.Array) -> tuple[CarryT, Any]:
        # Indexed inside the loop: slicing the stack first would copy every weight of the model.
        here = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], stacked)
        # Of the state that comes in, which is in memory as it is without anybody who looks: what
        # goes out would be fused with its sum, and the state's last bits might be others.
        kept = None if each is None else each(carry)
        return apply(nnx.merge(definition, here), carry), kept

    return jax.lax.scan(step, carry, jnp.arange(count))
