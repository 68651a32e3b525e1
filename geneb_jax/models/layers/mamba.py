"""The parts of Mamba-1 that Caduceus and JanusDNA share (Gu and Dao 2023, arXiv 2312.00752).

A block projects its input to values and a gate, sends the values through one branch a direction
(causal convolution, selective scan), gates, and projects back. Both directions use the same
projections. A branch that runs backwards does so in place: nothing is reversed in memory. Tokens
outside the mask leave convolution and state untouched, so padding on either side is neutral.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from geneb_jax.models.layers.dense import Dense
from geneb_jax.models.layers.norms import RMSNorm
from geneb_jax.models.layers.parameters import declare, ones, zeros
from geneb_jax_kernels.causal_depthwise_convolution import causal_depthwise_convolution
from geneb_jax_kernels.selective_scan import selective_scan

__all__ = [
    "MambaBranch",
    "MambaProjections",
    "MambaSizes",
    "decay_rates",
    "step_biases",
    "uniform_taps",
]

_SMALLEST_STEP, _LARGEST_STEP = 1e-3, 1e-1  # dt_min and dt_max of the published configs


@dataclass(frozen=True, slots=True)
class MambaSizes:
    """Widths of a block: of the stream, inside, of a state, of the convolution, of the step's rank.

    ``norm_eps`` is that of the norms on step, B and C where the architecture has them (JanusDNA).
    """

    hidden: int
    inner: int
    state: int
    conv: int
    rank: int
    norm_eps: float | None = None


def decay_rates(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """log(1), log(2), ... along the states: the published start of ``A_log``."""
    values = np.log(np.arange(1, shape[-1] + 1, dtype=np.float32))
    return np.broadcast_to(values, shape).copy()


def step_biases(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse softplus of steps drawn log-uniformly, as published."""
    low, high = np.log(_SMALLEST_STEP), np.log(_LARGEST_STEP)
    steps = np.exp(generator.uniform(low, high, shape))
    return (steps + np.log(-np.expm1(-steps))).astype(np.float32)


def uniform_taps(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within one over the root of the fan-in, as torch starts convolutions."""
    bound = shape[-1] ** -0.5
    return generator.uniform(-bound, bound, shape).astype(np.float32)


class MambaProjections(nnx.Module):
    """Into values and gate, and back; shared by the directions."""

    def __init__(self, sizes: MambaSizes, *, stack: tuple[int, ...]) -> None:
        self.inner = sizes.inner
        self.into = Dense(sizes.hidden, 2 * sizes.inner, bias=False, stack=stack)
        self.out_of = Dense(sizes.inner, sizes.hidden, bias=False, stack=stack)

    def split(self, hidden: Float[Array, "row token dim"]) -> tuple[Array, Array]:
        """Values and gate, ``[row, token, inner]`` each."""
        both = self.into(hidden)
        return both[..., : self.inner], both[..., self.inner :]

    def join(self, values: Array, gate: Array) -> Float[Array, "row token dim"]:
        """Gate and project back."""
        return self.out_of(values * jax.nn.silu(gate))


class MambaBranch(nnx.Module):
    """Convolution, SiLU, selective scan with its input-dependent step, B and C."""

    def __init__(self, sizes: MambaSizes, *, stack: tuple[int, ...]) -> None:
        self.sizes = sizes
        inner, state, rank = sizes.inner, sizes.state, sizes.rank
        self.taps = declare(*stack, inner, sizes.conv, initialiser=uniform_taps)
        self.taps_bias = declare(*stack, inner, initialiser=zeros)
        self.parameters = Dense(inner, rank + 2 * state, bias=False, stack=stack)
        self.step = Dense(rank, inner, bias=False, stack=stack)
        self.step_bias = declare(*stack, inner, initialiser=step_biases, keep_float32=True)
        self.log_rate = declare(*stack, inner, state, initialiser=decay_rates, keep_float32=True)
        self.skip = declare(*stack, inner, initialiser=ones, keep_float32=True)
        eps = sizes.norm_eps
        self.step_norm = None if eps is None else RMSNorm(rank, eps=eps, stack=stack)
        self.input_norm = None if eps is None else RMSNorm(state, eps=eps, stack=stack)
        self.output_norm = None if eps is None else RMSNorm(state, eps=eps, stack=stack)

    def __call__(
        self,
        values: Float[Array, "row token inner"],
        mask: Bool[Array, "row token"],
        *,
        reverse: bool,
    ) -> Float[Array, "row token inner"]:
        """Run along the tokens, or against them."""
        sizes = self.sizes
        values = causal_depthwise_convolution(
            values, self.taps[...], self.taps_bias[...], mask=mask, reverse=reverse
        )
        values = jax.nn.silu(values)
        low_rank, into, out_of = jnp.split(
            self.parameters(values), [sizes.rank, sizes.rank + sizes.state], axis=-1
        )
        if self.step_norm is not None:
            low_rank = self.step_norm(low_rank)
        if self.input_norm is not None:
            into = self.input_norm(into)
        if self.output_norm is not None:
            out_of = self.output_norm(out_of)
        raw = self.step(low_rank).astype(jnp.float32) + self.step_bias[...][None, None]
        return selective_scan(
            values,
            jax.nn.softplus(raw),
            -jnp.exp(self.log_rate[...]),
            into,
            out_of,
            self.skip[...],
            mask=mask,
            reverse=reverse,
        )
