"""Linear maps, embeddings and activations shared by the families."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from geneb_jax.models.layers.parameters import declare, zeros

__all__ = ["ACTIVATIONS", "Dense", "Embedding"]

#: ``gelu`` is the exact form over erf, ``gelu-tanh`` GPT-2's approximation.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu-tanh": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
}


def narrow_results(x: Array) -> bool:
    """Whether products of ``x`` are stored in its own 16 bits, on accelerators.

    Their hardware adds up in float32 and rounds once, at the end. Asked for float32, the compiler
    writes it to memory and rounds in another pass: twice the bytes, and a kernel more.
    """
    return x.dtype.itemsize == 2 and jax.default_backend() != "cpu"


class Dense(nnx.Module):
    """``x @ kernel + bias`` with the kernel ``[in, out]``, added up in float32.

    Args:
        input_size: Width of ``x``.
        output_size: Width of the result.
        bias: Whether there is a bias.
        stack: Leading axes, one entry a scanned layer.
    """

    def __init__(
        self, input_size: int, output_size: int, *, bias: bool = True, stack: tuple[int, ...] = ()
    ) -> None:
        self.kernel = declare(*stack, input_size, output_size)
        self.bias = declare(*stack, output_size, initialiser=zeros) if bias else None

    def __call__(self, x: Float[Array, "row token in"]) -> Float[Array, "row token out"]:
        """Apply the map along the last axis; the result has the dtype of ``x``."""
        if narrow_results(x):
            result = jnp.matmul(x, self.kernel[...])
            if self.bias is not None:
                result = result + self.bias[...].reshape((1,) * (x.ndim - 1) + (-1,))
            return result
        result = jnp.matmul(x, self.kernel[...], preferred_element_type=jnp.float32)
        if self.bias is not None:
            result = result + self.bias[...].astype(jnp.float32).reshape(
                (1,) * (x.ndim - 1) + (-1,)
            )
        return result.astype(x.dtype)


class Embedding(nnx.Module):
    """A table of vectors, looked up by id."""

    def __init__(self, count: int, size: int) -> None:
        self.table = declare(count, size)

    def __call__(self, ids: Int[Array, "row token"]) -> Float[Array, "row token dim"]:
        """Rows of the table; ids must be in range (the loader checks the tokenizer against it)."""
        return jnp.take(self.table[...], ids, axis=0, mode="clip")
