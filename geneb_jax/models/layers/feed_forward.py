"""Feed-forward parts: gated, and many gated ones of which a router picks a few a token."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from geneb_jax.models.layers.dense import ACTIVATIONS, Dense
from geneb_jax.models.layers.parameters import declare

__all__ = ["GatedFeedForward", "MixtureOfExperts"]

_BLOCK_TOKENS = 64


class GatedFeedForward(nnx.Module):
    """``outer(activation(gate(x)) * inner(x))`` without biases.

    Args:
        size: Width of a token.
        inner_size: Width inside.
        activation: Name in :data:`~geneb_jax.models.layers.dense.ACTIVATIONS`.
        stack: Leading axes, one entry a scanned layer.
    """

    def __init__(
        self, size: int, inner_size: int, *, activation: str = "silu", stack: tuple[int, ...]
    ) -> None:
        self.activation = activation
        self.gate = Dense(size, inner_size, bias=False, stack=stack)
        self.inner = Dense(size, inner_size, bias=False, stack=stack)
        self.outer = Dense(inner_size, size, bias=False, stack=stack)

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """Apply to every token."""
        return self.outer(ACTIVATIONS[self.activation](self.gate(x)) * self.inner(x))


class MixtureOfExperts(nnx.Module):
    """Gated experts, weighted by the router's softmax over all of them, not renormalised.

    Only the chosen experts are computed: the (token, expert) pairs are laid out expert by expert in
    blocks of equal size, each multiplied by its own expert's matrices. At most one block an expert
    is partly empty, so the work is that of the chosen experts plus a bounded rest, with shapes that
    do not depend on the routing.

    Args:
        size: Width of a token.
        inner_size: Inner width of an expert.
        count: Number of experts.
        chosen: Experts a token goes to; the first of equals wins.
        stack: Leading axes, one entry a scanned layer.
    """

    def __init__(
        self, size: int, inner_size: int, *, count: int, chosen: int, stack: tuple[int, ...]
    ) -> None:
        self.count, self.chosen = count, chosen
        self.router = Dense(size, count, bias=False, stack=stack)
        self.gate = declare(*stack, count, size, inner_size)
        self.inner = declare(*stack, count, size, inner_size)
        self.outer = declare(*stack, count, inner_size, size)

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """Apply to every token."""
        tokens = x.reshape(-1, x.shape[-1])
        logits = self.router(x).astype(jnp.float32).reshape(-1, self.count)
        shares, experts = jax.lax.top_k(jax.nn.softmax(logits, axis=-1), self.chosen)
        slots, sources, owners = self._layout(experts.reshape(-1), len(tokens))
        blocks = jnp.take(tokens, sources, axis=0, mode="fill", fill_value=0)
        results = self._experts(blocks.reshape(len(owners), -1, x.shape[-1]), owners)
        picked = results.reshape(-1, x.shape[-1])[slots].reshape(*experts.shape, -1)
        mixed = jnp.sum(picked.astype(jnp.float32) * shares[:, :, None], axis=1)
        return mixed.reshape(x.shape).astype(x.dtype)

    def _layout(self, experts: Array, token_count: int) -> tuple[Array, Array, Array]:
        """Where each pair goes, which token is at each place, which expert owns each block.

        Places without a pair point beyond the last token.
        """
        pairs = experts.shape[0]
        block = min(_BLOCK_TOKENS, pairs)
        block_count = -(-pairs // block) + self.count
        belongs = experts[:, None] == jnp.arange(self.count)[None]
        so_far = jnp.cumsum(belongs, axis=0, dtype=jnp.int32)
        rank = jnp.take_along_axis(so_far, experts[:, None], axis=1)[:, 0] - 1
        ends = jnp.cumsum(-(-so_far[-1] // block), dtype=jnp.int32)  # in blocks
        starts = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])
        slots = starts[experts] * block + rank
        pair_token = jnp.arange(pairs, dtype=jnp.int32) // self.chosen
        sources = jnp.full(block_count * block, token_count, jnp.int32).at[slots].set(pair_token)
        owners = jnp.searchsorted(ends, jnp.arange(block_count, dtype=jnp.int32), side="right")
        return slots, sources, jnp.minimum(owners, self.count - 1)

    def _experts(self, blocks: Float[Array, "block place dim"], owners: Array) -> Array:
        def product(x: Array, kernels: Array) -> Array:
            chosen = kernels[owners]
            wide = jnp.einsum("bpi,bio->bpo", x, chosen, preferred_element_type=jnp.float32)
            return wide.astype(x.dtype)

        gated = jax.nn.silu(product(blocks, self.gate[...])) * product(blocks, self.inner[...])
        return product(gated, self.outer[...])
