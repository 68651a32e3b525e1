"""The selective scan as kernels of its own, through Pallas and Triton, for NVIDIA GPUs.

A program takes 32 channels of one row, keeps their states in registers and reads each token once;
XLA's forms write the states of every chunk to memory and read them again. Tokens follow one another
inside a program, so few long rows would leave most of a GPU idle. Beyond ``LONGEST_AT_ONCE`` tokens
a row is cut into chunks that run side by side, in three kernels: the state that each chunk ends in
if it starts from zero, the states that the chunks do start in (in turn, but one step a chunk), and
the chunks again from there. That reads the inputs twice and takes every exponential twice. The
length alone decides, so that a row's bits do not depend on what else is in its batch.

A step of zero leaves a state as it is: so are tokens masked, outside of the kernels, where XLA
makes it part of what computes the steps and of what reads the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Bool, Float

from geneb_jax_kernels.staged_reads import both, in_turn, read, spread

__all__ = ["fused_selective_scan"]

LONGEST_AT_ONCE = 2048
_CHUNK_TOKENS = 512
#: One channel a thread of one warp: all states of a channel are in one thread, and the sum over
#: them needs no exchange between threads.
_CHANNELS = 32
#: Tokens, and chunks, whose loads are under way while those before them are computed.
_TOKENS_AHEAD = 4
_CHUNKS_AHEAD = 2
_PARAMETERS = triton.CompilerParams(num_warps=1, num_stages=1)


class _Cut(NamedTuple):
    """Sizes of the arrays, and how programs divide them."""

    rows: int
    length: int
    channels: int
    states: int
    chunk: int
    reverse: bool

    @property
    def chunks(self) -> int:
        """Chunks of a row."""
        return -(-self.length // self.chunk)

    @property
    def blocks(self) -> int:
        """Programs that share the channels of a row."""
        return -(-self.channels // _CHANNELS)

    @property
    def held(self) -> int:
        """States of a channel in registers: Triton's arrays have powers of two."""
        return pl.next_power_of_2(self.states)

    def channel_mask(self) -> Array | None:
        """Which channels of a program there are, ``[channel]``; None where all are."""
        if self.channels % _CHANNELS == 0:
            return None
        return pl.program_id(1) * _CHANNELS + jnp.arange(_CHANNELS) < self.channels

    def state_mask(self) -> Array | None:
        """Which states there are, ``[state]``; None where all are."""
        return None if self.held == self.states else jnp.arange(self.held) < self.states

    def square_mask(self) -> Array | None:
        """Of ``[state, channel]``."""
        channels, states = self.channel_mask(), self.state_mask()
        shape = (self.held, _CHANNELS)
        wide = None if channels is None else jnp.broadcast_to(channels[None, :], shape)
        return both(wide, None if states is None else jnp.broadcast_to(states[:, None], shape))


def fused_selective_scan(
    x: Float[Array, "row token channel"],
    time_step: Float[Array, "row token channel"],
    rate: Float[Array, "channel state"],
    input_map: Float[Array, "row token state"],
    output_map: Float[Array, "row token state"],
    skip: Float[Array, " channel"],
    *,
    mask: Bool[Array, "row token"] | None = None,
    reverse: bool = False,
    chunk_tokens: int | None = None,
    interpret: bool = False,
) -> Float[Array, "row token channel"]:
    """Scan in float32, whatever the dtype of the inputs.

    Args:
        x: Input.
        time_step: Positive step sizes.
        rate: Negative decay rates.
        input_map: B.
        output_map: C.
        skip: D.
        mask: True where there is a token; the others leave the state and give zero.
        reverse: Whether to run from the last token to the first.
        chunk_tokens: Tokens of a chunk; by the length when None.
        interpret: Whether to run the kernels' operations one by one on any device: for tests.

    Returns:
        y in the dtype of ``x``.
    """
    rows, length, channels = x.shape
    if mask is not None:
        time_step = jnp.where(mask[:, :, None], time_step, jnp.zeros((), time_step.dtype))
    if chunk_tokens is None:
        chunk_tokens = length if length <= LONGEST_AT_ONCE else _CHUNK_TOKENS
    cut = _Cut(rows, length, channels, rate.shape[1], min(chunk_tokens, length), reverse)
    of_tokens = pl.BlockSpec((None, cut.chunk, _CHANNELS), lambda row, block, at: (row, at, block))
    of_maps = pl.BlockSpec((None, cut.chunk, cut.held), lambda row, block, at: (row, at, 0))
    of_rates = pl.BlockSpec((cut.held, _CHANNELS), lambda row, block, *at: (0, block))
    of_skips = pl.BlockSpec((_CHANNELS,), lambda row, block, at: (block,))
    of_state = pl.BlockSpec(
        (None, None, cut.held, _CHANNELS), lambda row, block, at: (row, at, 0, block)
    )
    # GPUs raise 2, not e.
    rates = rate.astype(jnp.float32).T * math.log2(math.e)
    arguments: list[Array] = [rates, x, time_step, input_map, output_map]
    specs = [of_rates, of_tokens, of_tokens, of_maps, of_maps]
    if cut.chunks > 1:
        specs.append(of_state)
        arguments.append(_starts(cut, rates, x, time_step, input_map, specs[:4], interpret))
    result: Array = pl.pallas_call(
        partial(_scan_kernel, cut=cut),
        grid=(rows, cut.blocks, cut.chunks),
        in_specs=[of_skips, *specs],
        out_specs=of_tokens,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        compiler_params=_PARAMETERS,
        interpret=interpret,
        name="selective_scan",
    )(skip.astype(jnp.float32), *arguments)
    return result if mask is None else jnp.where(mask[:, :, None], result, jnp.zeros((), x.dtype))


def _starts(
    cut: _Cut,
    rates: Array,
    x: Array,
    time_step: Array,
    input_map: Array,
    specs: list[pl.BlockSpec],
    interpret: bool,
) -> Float[Array, "row chunk state channel"]:
    """The states that the chunks start in."""
    call = partial(pl.pallas_call, compiler_params=_PARAMETERS, interpret=interpret)
    state = jax.ShapeDtypeStruct((cut.rows, cut.chunks, cut.states, cut.channels), jnp.float32)
    total = jax.ShapeDtypeStruct((cut.rows, cut.chunks, cut.channels), jnp.float32)
    ends, totals = call(
        partial(_ends_kernel, cut=cut),
        grid=(cut.rows, cut.blocks, cut.chunks),
        in_specs=specs,
        out_specs=[
            pl.BlockSpec(
                (None, None, cut.held, _CHANNELS), lambda row, block, at: (row, at, 0, block)
            ),
            pl.BlockSpec((None, None, _CHANNELS), lambda row, block, at: (row, at, block)),
        ],
        out_shape=[state, total],
        name="selective_scan_ends",
    )(rates, x, time_step, input_map)
    of_states = pl.BlockSpec(
        (None, cut.chunks, cut.held, _CHANNELS), lambda row, block: (row, 0, 0, block)
    )
    return call(
        partial(_starts_kernel, cut=cut),
        grid=(cut.rows, cut.blocks),
        in_specs=[
            specs[0],
            of_states,
            pl.BlockSpec((None, cut.chunks, _CHANNELS), lambda row, block: (row, 0, block)),
        ],
        out_specs=of_states,
        out_shape=state,
        name="selective_scan_starts",
    )(rates, ends, totals)


def _scan_kernel(
    skip_ref: Any,
    rate_ref: Any,
    x_ref: Any,
    step_ref: Any,
    input_ref: Any,
    output_ref: Any,
    *others: Any,
    cut: _Cut,
) -> None:
    """A chunk's tokens, from the state that it starts in."""
    start_ref, y_ref = others if len(others) == 2 else (None, *others)
    channels, square = cut.channel_mask(), cut.square_mask()
    rates, skips = read(rate_ref.at[:, :], square), read(skip_ref.at[:], channels)
    state = jnp.zeros_like(rates) if start_ref is None else read(start_ref.at[:, :], square)

    def token(at: Array, there: Array | None, state: Array, parts: list[Array]) -> Array:
        x, step, into, out_of = parts
        state = _advance(state, rates, x, step, into)
        y = jnp.sum(state * out_of[:, None], axis=0) + skips * x
        mask = both(channels, spread(there, y.shape))
        triton.store(y_ref.at[at, :], y.astype(y_ref.dtype), mask=mask)
        return state

    _tokens(cut, [x_ref, step_ref], [input_ref, output_ref], token, state)


def _ends_kernel(
    rate_ref: Any,
    x_ref: Any,
    step_ref: Any,
    input_ref: Any,
    end_ref: Any,
    total_ref: Any,
    *,
    cut: _Cut,
) -> None:
    """The state that a chunk ends in if it starts from zero, and the sum of its steps."""
    channels, square = cut.channel_mask(), cut.square_mask()
    rates = read(rate_ref.at[:, :], square)

    def token(
        at: Array, there: Array | None, carry: tuple[Array, Array], parts: list[Array]
    ) -> tuple[Array, Array]:
        x, step, into = parts
        return _advance(carry[0], rates, x, step, into), carry[1] + step

    carry = (jnp.zeros_like(rates), jnp.zeros((_CHANNELS,), jnp.float32))
    end, total = _tokens(cut, [x_ref, step_ref], [input_ref], token, carry)
    triton.store(end_ref.at[:, :], end, mask=square)
    triton.store(total_ref.at[:], total, mask=channels)


def _starts_kernel(
    rate_ref: Any, end_ref: Any, total_ref: Any, start_ref: Any, *, cut: _Cut
) -> None:
    """From what the chunks end in alone to what they start in."""
    channels, square = cut.channel_mask(), cut.square_mask()
    rates = read(rate_ref.at[:, :], square)

    def load(at: Array, there: Array | None) -> list[Array]:
        return [
            read(end_ref.at[at, :, :], both(square, spread(there, rates.shape))),
            read(total_ref.at[at, :], both(channels, spread(there, (_CHANNELS,)))),
        ]

    def chunk(at: Array, there: Array | None, state: Array, parts: list[Array]) -> Array:
        mask = both(square, spread(there, rates.shape))
        triton.store(start_ref.at[at, :, :], state, mask=mask)
        return jnp.exp2(parts[1][None, :] * rates) * state + parts[0]

    in_turn(cut.chunks, cut.reverse, _CHUNKS_AHEAD, load, chunk, jnp.zeros_like(rates))


def _advance(state: Array, rates: Array, x: Array, step: Array, into: Array) -> Array:
    """One token: ``[state, channel]``."""
    return jnp.exp2(step[None, :] * rates) * state + into[:, None] * (step * x)[None, :]


def _tokens(
    cut: _Cut, wide: list[Any], maps: list[Any], token: Callable[..., Any], carry: Any
) -> Any:
    """Every token of a chunk in turn; those behind the end of the row read as zeros."""
    channels, states = cut.channel_mask(), cut.state_mask()
    left = cut.length - pl.program_id(2) * cut.chunk
    whole = cut.length % cut.chunk == 0

    def seen(at: Array, there: Array | None) -> Array | None:
        return there if whole else both(there, at < left)

    def load(at: Array, there: Array | None) -> list[Array]:
        there = seen(at, there)
        parts = [read(ref.at[at, :], both(channels, spread(there, (_CHANNELS,)))) for ref in wide]
        held = (cut.held,)
        return parts + [read(ref.at[at, :], both(states, spread(there, held))) for ref in maps]

    def step(at: Array, there: Array | None, carry: Any, parts: list[Array]) -> Any:
        return token(at, seen(at, there), carry, [part.astype(jnp.float32) for part in parts])

    return in_turn(cut.chunk, cut.reverse, _TOKENS_AHEAD, load, step, carry)
