"""The selective scan of Mamba-1 (Gu and Dao 2023, arXiv 2312.00752, algorithm 2).

For every channel c and state n: ``h = exp(step * rate) h + step * input_map * x``, and
``y = sum over n of output_map * h + skip * x``, with the simplified (Euler) discretisation of the
input that the published code uses. No array ``[row, token, channel, state]`` is ever alive:

- ``sequential`` (CPU): reads a few tokens at a time in place and keeps the state in registers and
  cache, unrolled so that the loop costs nothing. Memory beyond inputs and outputs: the state.
- ``fused`` (NVIDIA GPUs): one kernel, the state in registers
  (:mod:`geneb_jax_kernels.fused_selective_scan`).
- ``chunked`` (TPUs and others): an associative scan over short chunks, the state carried between
  them. Fewer and larger steps; memory: a few arrays of one chunk. On a GPU it would read and write
  the states of a chunk a dozen times (docs/accelerators.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from geneb_jax_kernels.plain_forms import fused_kernels_allowed

__all__ = ["selective_scan", "selective_scan_associative", "selective_scan_reference"]

Form = Literal["auto", "sequential", "fused", "chunked"]
#: (state, x, step, input_map, output_map) of some tokens to (state, y).
Step = Callable[..., tuple[Array, Array]]

_UNROLLED_TOKENS = 8
_CHUNK_TOKENS = 32


@partial(jax.jit, static_argnames=("reverse", "form"))
def selective_scan(
    x: Float[Array, "row token channel"],
    time_step: Float[Array, "row token channel"],
    rate: Float[Array, "channel state"],
    input_map: Float[Array, "row token state"],
    output_map: Float[Array, "row token state"],
    skip: Float[Array, " channel"],
    *,
    mask: Bool[Array, "row token"] | None = None,
    reverse: bool = False,
    form: Form = "auto",
) -> Float[Array, "row token channel"]:
    """Scan in float32, whatever the dtype of the inputs.

    Args:
        x: Input.
        time_step: Positive step sizes (after softplus).
        rate: Negative decay rates, ``-exp(A_log)``.
        input_map: B.
        output_map: C.
        skip: D.
        mask: True where there is a token. The others leave the state as it is, whichever side they
            are on; their own output is zero.
        reverse: Whether to run from the last token to the first.
        form: ``sequential``, ``fused`` or ``chunked``; by platform when ``auto``.

    Returns:
        y in the dtype of ``x``.
    """
    masks = () if mask is None else (mask,)
    streams = (x, time_step, input_map, output_map, *masks)
    rates, skips = rate.astype(jnp.float32).T[None], skip.astype(jnp.float32)[None]
    sequential = partial(_blocks, step=_few_tokens, size=_UNROLLED_TOKENS, reverse=reverse)
    chunked = partial(_blocks, step=_one_chunk, size=_CHUNK_TOKENS, reverse=reverse)
    fused = partial(_fused, reverse=reverse)
    if form == "auto":
        on_cuda = fused if fused_kernels_allowed() else chunked
        return jax.lax.platform_dependent(
            streams, rates, skips, cpu=sequential, cuda=on_cuda, default=chunked
        )
    forms = {"sequential": sequential, "fused": fused, "chunked": chunked}
    if form not in forms:
        raise ValueError(f"unknown form {form!r}")
    return forms[form](streams, rates, skips)


def _fused(streams: tuple[Array, ...], rates: Array, skips: Array, *, reverse: bool) -> Array:
    # Here, so that Pallas is loaded by the first scan and not by naming this module.
    from geneb_jax_kernels.fused_selective_scan import fused_selective_scan

    x, time_step, input_map, output_map, *masks = streams
    return fused_selective_scan(
        x,
        time_step,
        rates[0].T,
        input_map,
        output_map,
        skips[0],
        mask=masks[0] if masks else None,
        reverse=reverse,
    )


def _blocks(
    streams: tuple[Array, ...], rates: Array, skips: Array, *, step: Step, size: int, reverse: bool
) -> Array:
    """Run ``step`` over blocks of tokens, reading inputs and writing results in place."""
    x = streams[0]
    rows, length, channels = x.shape
    size = min(size, length)
    count, rest = divmod(length, size)

    def at(start: Array | int, size: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        state, result = carry
        block = [jax.lax.dynamic_slice_in_dim(stream, start, size, 1) for stream in streams]
        if reverse:
            block = [jnp.flip(part, 1) for part in block]
        wide = [part.astype(jnp.float32) for part in block[:4]]
        seen = None
        if len(block) > 4:
            seen = block[4]
            wide[1] = jnp.where(seen[:, :, None], wide[1], 0.0)
        state, out = step(state, *wide, rates)
        out = out + skips[:, None] * wide[0]
        if seen is not None:
            out = jnp.where(seen[:, :, None], out, 0.0)
        if reverse:
            out = jnp.flip(out, 1)
        result = jax.lax.dynamic_update_slice_in_dim(result, out.astype(x.dtype), start, 1)
        return state, result

    def whole(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return at((count - 1 - index if reverse else index) * size, size, carry)

    carry = (jnp.zeros((rows, rates.shape[1], channels), jnp.float32), jnp.zeros_like(x))
    if rest and reverse:
        carry = at(count * size, rest, carry)
    carry = jax.lax.fori_loop(0, count, whole, carry)
    if rest and not reverse:
        carry = at(count * size, rest, carry)
    return carry[1]


def _few_tokens(
    state: Array, x: Array, time_step: Array, input_map: Array, output_map: Array, rates: Array
) -> tuple[Array, Array]:
    """One token after the other, unrolled; channels are the fast axis."""
    outputs = []
    for token in range(x.shape[1]):
        step = time_step[:, token]
        drive = (step * x[:, token])[:, None, :] * input_map[:, token, :, None]
        state = jnp.exp(step[:, None, :] * rates) * state + drive
        outputs.append(jnp.sum(state * output_map[:, token, :, None], axis=1))
    return state, jnp.stack(outputs, axis=1)


def _one_chunk(
    state: Array, x: Array, time_step: Array, input_map: Array, output_map: Array, rates: Array
) -> tuple[Array, Array]:
    """All tokens of a chunk by an associative scan, then the carried state's share."""
    decay = jnp.exp(time_step[:, :, None, :] * rates[:, None])
    drive = (time_step * x)[:, :, None, :] * input_map[..., None]
    kept, states = jax.lax.associative_scan(_compose, (decay, drive), axis=1)
    states = states + kept * state[:, None]
    return states[:, -1], jnp.sum(states * output_map[..., None], axis=2)


def _compose(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
    return earlier[0] * later[0], later[0] * earlier[1] + later[1]


def selective_scan_associative(
    x: Float[Array, "row token channel"],
    time_step: Float[Array, "row token channel"],
    rate: Float[Array, "channel state"],
    input_map: Float[Array, "row token state"],
    output_map: Float[Array, "row token state"],
    skip: Float[Array, " channel"],
) -> Float[Array, "row token channel"]:
    """The textbook form, one associative scan over all tokens: what the other forms are timed by.

    Holds several arrays ``[row, token, channel, state]``.
    """
    decay = jnp.exp(time_step[..., None] * rate[None, None])
    drive = (time_step * x)[..., None] * input_map[:, :, None]
    states = jax.lax.associative_scan(_compose, (decay, drive), axis=1)[1]
    return jnp.sum(states * output_map[:, :, None], axis=-1) + skip[None, None] * x


def selective_scan_reference(
    x: Float[Array, "row token channel"],
    time_step: Float[Array, "row token channel"],
    rate: Float[Array, "channel state"],
    input_map: Float[Array, "row token state"],
    output_map: Float[Array, "row token state"],
    skip: Float[Array, " channel"],
) -> Float[Array, "row token channel"]:
    """The recurrence as it is written, token by token: the plain form."""

    def step(state: Array, token: tuple[Array, ...]) -> tuple[Array, Array]:
        x, time_step, input_map, output_map = token
        decay = jnp.exp(time_step[:, :, None] * rate[None])
        state = decay * state + (time_step * x)[:, :, None] * input_map[:, None]
        return state, jnp.einsum("rcs,rs->rc", state, output_map) + skip[None] * x

    state = jnp.zeros((x.shape[0], *rate.shape), x.dtype)
    tokens = [jnp.swapaxes(part, 0, 1) for part in (x, time_step, input_map, output_map)]
    return jnp.swapaxes(jax.lax.scan(step, state, tuple(tokens))[1], 0, 1)
