"""SSD as few large matrix products, for devices that multiply faster than they read.

All chunks of all rows at once, 128 tokens each, which is what tensor cores and systolic arrays are
filled by; only the states between chunks follow one another. B and C meet all heads of a group in
one product, whose rows are tokens and whose columns are heads times width, as ``x`` lies in memory.
A backward scan sums its decays the other way round: nothing is reversed.

Decays between two tokens are sums of negative numbers, never differences of running sums, which
would lose digits after a large step. Sums over a part of 16 tokens are products with zeros and
ones; two tokens of different parts are joined by what is left in the one's part, what lies between
the parts, and the other's: one exponential a pair, in the loop that makes a product's operand.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

__all__ = ["ssd_by_products"]

_CHUNK_TOKENS = 128
_PART_TOKENS = 16
#: Chunks whose states are made in one go.
_CHUNKS_A_KERNEL = 16


class _Decays(NamedTuple):
    """Logarithms of what is left of a state or an input, by token of a chunk."""

    since_start: Float[Array, "row chunk head token"]  # with the token's own decay
    to_end: Float[Array, "row chunk head token"]  # without it
    between: Float[Array, "row chunk head query key"]  # after the key, with the query's own
    whole: Float[Array, "row chunk head"]


def ssd_by_products(
    x: Float[Array, "row token head width"],
    time_step: Float[Array, "row token head"],
    rate: Float[Array, " head"],
    input_map: Float[Array, "row token group state"],
    output_map: Float[Array, "row token group state"],
    skip: Float[Array, " head"],
    mask: Bool[Array, "row token"],
    *,
    reverse: bool,
    chunk_tokens: int = _CHUNK_TOKENS,
) -> Float[Array, "row token head width"]:
    """Sums in float32; factors of products in the dtype of ``x``.

    Args:
        x: Input.
        time_step: Positive step sizes.
        rate: Negative decay rates.
        input_map: B, shared by the heads of a group.
        output_map: C, shared likewise.
        skip: D.
        mask: True where there is a token.
        reverse: Whether to run from the last token to the first.
        chunk_tokens: Tokens of a chunk, a multiple of 16.

    Returns:
        y in the dtype of ``x``.
    """
    rows, length, heads, width = x.shape
    groups = input_map.shape[2]
    share = heads // groups
    size = min(chunk_tokens, -(-length // _PART_TOKENS) * _PART_TOKENS)
    chunks = -(-length // size)
    behind = chunks * size - length

    def cut(part: Array) -> Array:
        padding = ((0, 0), (0, behind)) + ((0, 0),) * (part.ndim - 2)
        return jnp.pad(part, padding).reshape(rows, chunks, size, *part.shape[2:])

    step = jnp.where(mask[:, :, None], time_step.astype(jnp.float32), 0.0)
    streams = [cut(part) for part in (x, step, input_map, output_map)]
    parts = []
    for group in range(groups):  # one, in every published model
        of_group = slice(group * share, (group + 1) * share)
        values, steps = (part[:, :, :, of_group] for part in streams[:2])
        into, out_of = (part[:, :, :, group] for part in streams[2:])
        rates = rate[of_group].astype(jnp.float32)
        parts.append(_group(values, steps, rates, into, out_of, reverse=reverse))
    sums = jnp.concatenate(parts, axis=3).reshape(rows, chunks * size, heads, width)[:, :length]
    sums = sums + skip.astype(jnp.float32)[None, None, :, None] * x.astype(jnp.float32)
    return jnp.where(mask[:, :, None, None], sums, 0.0).astype(x.dtype)


def _group(
    values: Float[Array, "row chunk token head width"],
    steps: Float[Array, "row chunk token head"],
    rates: Float[Array, " head"],
    into: Float[Array, "row chunk token state"],
    out_of: Float[Array, "row chunk token state"],
    *,
    reverse: bool,
) -> Float[Array, "row chunk token head width"]:
    """The heads that share B and C; sums in float32."""
    dtype, wide = values.dtype, jnp.dtype(jnp.float32)
    flat = (*values.shape[:3], -1)

    def product(formula: str, left: Array, right: Array, result: jnp.dtype) -> Array:
        left, right = left.astype(dtype), right.astype(dtype)
        return jnp.einsum(formula, left, right, preferred_element_type=result)

    def by_token(part: Array) -> Array:
        """From ``[row, chunk, head, token]`` to a factor of ``values``."""
        return part.transpose(0, 1, 3, 2)[..., None]

    steps = steps.transpose(0, 1, 3, 2)
    decays = _decays(steps * rates[None, None, :, None], reverse=reverse)
    # What the tokens of a chunk give one another.
    agreement = product("rcis,rcjs->rcij", out_of, into, wide)
    weights = agreement[:, :, None] * jnp.exp(decays.between) * steps[:, :, :, None]
    given = product("rchij,rcjhw->rcihw", weights, values, dtype)
    # What they leave behind, and what is left of those before the chunk.
    kept = values.astype(jnp.float32) * by_token(steps * jnp.exp(decays.to_end))
    added = product("rcjs,rcjk->rcsk", into, kept.reshape(flat), wide)
    added = added.reshape(*added.shape[:3], *values.shape[3:])
    starts = _starts(added, jnp.exp(decays.whole)[:, :, None, :, None], reverse=reverse)
    starts = starts.reshape(*added.shape[:3], -1)
    carried = product("rcis,rcsk->rcik", out_of, starts, dtype).reshape(values.shape)
    carried = carried.astype(jnp.float32) * by_token(jnp.exp(decays.since_start))
    return given.astype(jnp.float32) + carried


def _decays(log_decay: Float[Array, "row chunk head token"], *, reverse: bool) -> _Decays:
    """Sums of the logarithms of tokens' decays, none of them positive."""
    *shape, size = log_decay.shape
    parts = size // _PART_TOKENS
    pieces = log_decay.reshape(*shape, parts, _PART_TOKENS)
    totals = jnp.sum(pieces, axis=-1)
    later, later_part = _later(_PART_TOKENS, reverse), _later(parts, reverse)
    since = _sums(pieces, later | np.eye(_PART_TOKENS, dtype=bool))
    rest = _sums(pieces, later.T)
    before, behind = _sums(totals, later_part), _sums(totals, later_part.T)
    # Of two tokens of one part: those after the second, up to the first.
    own = later | np.eye(_PART_TOKENS, dtype=bool)
    inside = _where(own, _sums(pieces, own[:, None, :] & later.T[None, :, :]))
    # Of two tokens of two parts: what is left of both parts, and the parts between.
    across = _where(later_part, _sums(totals, later_part[:, None] & later_part.T[None]))
    across = across[..., :, None, :, None]
    across = since[..., :, :, None, None] + across + rest[..., None, None, :, :]
    same = jnp.broadcast_to(np.eye(parts, dtype=bool)[:, None, :, None], across.shape)
    between = jnp.where(same, inside[..., :, :, None, :], across)
    flat = (*shape, size)
    return _Decays(
        since_start=(since + before[..., None]).reshape(flat),
        to_end=(rest + behind[..., None]).reshape(flat),
        between=between.reshape(*flat, size),
        whole=jnp.sum(totals, axis=-1),
    )


def _later(count: int, reverse: bool) -> np.ndarray:
    """``[i, k]``: whether k is before i in the direction of the scan."""
    order = np.arange(count)
    earlier = order[None, :] < order[:, None]
    return earlier.T if reverse else earlier


def _where(there: np.ndarray, logarithms: Array) -> Array:
    """Minus infinity for the pairs of the last two axes that are not there."""
    return jnp.where(jnp.broadcast_to(there, logarithms.shape), logarithms, -jnp.inf)


def _sums(parts: Float[Array, "*batch part"], chosen: np.ndarray) -> Array:
    """``[*batch, *places]``: sums over what ``chosen [*places, part]`` chooses; float32 proper."""
    flat = chosen.reshape(-1, chosen.shape[-1]).astype(np.float32)
    sums = jnp.einsum("...k,ik->...i", parts, flat, precision="highest")
    return sums.reshape(*parts.shape[:-1], *chosen.shape[:-1])


def _starts(
    added: Float[Array, "row chunk state head width"],
    kept: Float[Array, "row chunk 1 head 1"],
    *,
    reverse: bool,
) -> Float[Array, "row chunk state head width"]:
    """The states that the chunks start in."""

    def step(state: Array, chunk: tuple[Array, Array]) -> tuple[Array, Array]:
        added, kept = chunk
        return state * kept + added, state

    along = (jnp.moveaxis(added, 1, 0), jnp.moveaxis(kept, 1, 0))
    state = jnp.zeros_like(added[:, 0])
    unroll = min(_CHUNKS_A_KERNEL, added.shape[1])
    states = jax.lax.scan(step, state, along, reverse=reverse, unroll=unroll)[1]
    return jnp.moveaxis(states, 0, 1)
