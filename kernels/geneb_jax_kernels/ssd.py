"""The scan of Mamba-2, state-space duality (Dao and Gu 2024, arXiv 2405.21060, section 6).

One decay a head instead of one a channel and state turns the scan into matrix products: within a
chunk of tokens a masked product of length by length, between chunks a state ``[head, width,
state]``. Decays between two tokens are sums of negative numbers, never differences of running sums,
which would lose digits after a large step.

On CPU short chunks run one after the other, so memory beyond inputs and outputs is that of one
chunk. Accelerators are given long ones, all at once (:mod:`geneb_jax_kernels.ssd_products`): they
wait for memory and launches, not for products.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from geneb_jax_kernels.ssd_products import ssd_by_products

__all__ = ["ssd", "ssd_reference"]

_CHUNK_TOKENS = 32


@partial(jax.jit, static_argnames=("reverse", "chunk_tokens"))
def ssd(
    x: Float[Array, "row token head width"],
    time_step: Float[Array, "row token head"],
    rate: Float[Array, " head"],
    input_map: Float[Array, "row token group state"],
    output_map: Float[Array, "row token group state"],
    skip: Float[Array, " head"],
    *,
    mask: Bool[Array, "row token"] | None = None,
    reverse: bool = False,
    chunk_tokens: int | None = None,
) -> Float[Array, "row token head width"]:
    """Scan in float32, whatever the dtype of the inputs.

    Args:
        x: Input.
        time_step: Positive step sizes (after softplus).
        rate: Negative decay rates, ``-exp(A_log)``.
        input_map: B, shared by the heads of a group.
        output_map: C, shared likewise.
        skip: D.
        mask: True where there is a token. The others leave the state as it is, whichever side they
            are on; their own output is zero.
        reverse: Whether to run from the last token to the first.
        chunk_tokens: Tokens of a chunk, one chunk after the other; by platform when None.

    Returns:
        y in the dtype of ``x``.
    """
    heads, groups = x.shape[2], input_map.shape[2]
    if heads % groups:
        raise ValueError(f"{heads} heads do not divide into {groups} groups")
    seen = jnp.ones(x.shape[:2], bool) if mask is None else mask
    inputs = (x, time_step, rate, input_map, output_map, skip, seen)
    if chunk_tokens is not None:
        return _in_turn(*inputs, reverse=reverse, chunk_tokens=chunk_tokens)
    return jax.lax.platform_dependent(
        *inputs,
        cpu=partial(_in_turn, reverse=reverse, chunk_tokens=_CHUNK_TOKENS),
        default=partial(ssd_by_products, reverse=reverse),
    )


def _in_turn(
    x: Array,
    time_step: Array,
    rate: Array,
    input_map: Array,
    output_map: Array,
    skip: Array,
    seen: Array,
    *,
    reverse: bool,
    chunk_tokens: int,
) -> Array:
    """One chunk after the other, in float32."""
    rows, length, heads, width = x.shape
    groups, states = input_map.shape[2:]
    size = min(chunk_tokens, length)
    count = -(-length // size)
    streams: tuple[Array, ...] = (x, time_step, input_map, output_map, seen)
    if count * size > length:  # tokens that are not there: masked, so neutral in both directions
        extra = count * size - length
        streams = tuple(
            jnp.pad(part, ((0, 0), (0, extra)) + ((0, 0),) * (part.ndim - 2)) for part in streams
        )
    share = (rows, size, groups, heads // groups)
    rates = rate.astype(jnp.float32)[None, None]
    skips = skip.astype(jnp.float32)[None, None, :, None]

    def chunk(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        state, result = carry
        start = (count - 1 - index if reverse else index) * size
        parts = [jax.lax.dynamic_slice_in_dim(stream, start, size, 1) for stream in streams]
        if reverse:
            parts = [jnp.flip(part, 1) for part in parts]
        here = parts[4]
        values, step, into, out_of = (part.astype(jnp.float32) for part in parts[:4])
        step = jnp.where(here[:, :, None], step, 0.0)
        drive = (step[..., None] * values).reshape(*share, width)
        state, sums = _chunk(state, drive, (step * rates).reshape(share), into, out_of)
        sums = sums.reshape(values.shape) + skips * values
        sums = jnp.where(here[:, :, None, None], sums, 0.0)
        sums = jnp.flip(sums, 1) if reverse else sums
        result = jax.lax.dynamic_update_slice_in_dim(result, sums.astype(x.dtype), start, 1)
        return state, result

    state = jnp.zeros((rows, groups, heads // groups, width, states), jnp.float32)
    result = jnp.zeros((rows, count * size, heads, width), x.dtype)
    return jax.lax.fori_loop(0, count, chunk, (state, result))[1][:, :length]


def _chunk(
    state: Float[Array, "row group head width state"],
    drive: Float[Array, "row token group head width"],
    log_decay: Float[Array, "row token group head"],
    into: Float[Array, "row token group state"],
    out_of: Float[Array, "row token group state"],
) -> tuple[Array, Array]:
    size = drive.shape[1]
    order = jnp.arange(size)
    later = order[:, None] > order[None, :]
    # [row, i, j, group, head]: the sum of the log decays of tokens j + 1 to i.
    spread = jnp.where(later[None, :, :, None, None], log_decay[:, :, None], 0.0)
    between = jnp.exp(jnp.cumsum(spread, axis=1))
    causal = (later | (order[:, None] == order[None, :]))[None, :, :, None, None]
    between = jnp.where(causal, between, 0.0)
    agreement = jnp.einsum("rigs,rjgs->rijg", out_of, into)
    sums = jnp.einsum("rijgh,rjghw->righw", agreement[..., None] * between, drive)
    since_start = jnp.exp(jnp.cumsum(log_decay, axis=1))
    carried = jnp.einsum("rigs,rghws->righw", out_of, state)
    sums = sums + carried * since_start[..., None]
    to_end = between[:, -1]
    added = jnp.einsum("rjghw,rjgs->rghws", drive * to_end[..., None], into)
    return state * since_start[:, -1, :, :, None, None] + added, sums


def ssd_reference(
    x: Float[Array, "row token head width"],
    time_step: Float[Array, "row token head"],
    rate: Float[Array, " head"],
    input_map: Float[Array, "row token group state"],
    output_map: Float[Array, "row token group state"],
    skip: Float[Array, " head"],
) -> Float[Array, "row token head width"]:
    """The recurrence as it is written, token by token: the plain form."""
    heads = x.shape[2]

    def step(state: Array, token: tuple[Array, ...]) -> tuple[Array, Array]:
        x, time_step, input_map, output_map = token
        into, out_of = (
            jnp.repeat(part, heads // part.shape[1], axis=1) for part in (input_map, output_map)
        )
        decay = jnp.exp(time_step * rate[None])[:, :, None, None]
        drive = (time_step[..., None] * x)[..., None] * into[:, :, None]
        state = decay * state + drive
        return state, jnp.einsum("rhws,rhs->rhw", state, out_of) + skip[None, :, None] * x

    state = jnp.zeros((x.shape[0], heads, x.shape[3], input_map.shape[3]), x.dtype)
    tokens = [jnp.swapaxes(part, 0, 1) for part in (x, time_step, input_map, output_map)]
    return jnp.swapaxes(jax.lax.scan(step, state, tuple(tokens))[1], 0, 1)
