"""What is written to memory on its own, where a compiler would rather not and then cannot go on."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float

__all__ = ["stored_on_gpus"]


def stored_on_gpus(x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
    """The same array; on NVIDIA GPUs no part of the product that reads it.

    XLA's form of attention ends in ``[row, head, width, token]``. XLA reads it transposed inside
    the output projection, and refuses the program where width or length is no power of two:
    docs/accelerators.md has it in two lines. Elsewhere this is nothing.
    """
    return jax.lax.platform_dependent(x, cuda=_stored, default=lambda x: x)


def _stored(x: Array) -> Array:
    # Rows and tokens as one axis: with two, the barrier would take any order of them in memory.
    flat = jax.lax.optimization_barrier(x.reshape(-1, x.shape[-1]))
    return flat.reshape(x.shape)
