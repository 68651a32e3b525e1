"""Causal convolution with filters as long as the sequence, through the FFT, by channel groups.

The transforms of a long sequence are several times larger than the sequence itself, so channels go
through them in groups that fit a workspace: beyond input and result no array of all channels is
alive. Error: rounding of a float32 FFT, about 1e-7 of the largest magnitude times the square root
of the logarithm of the length; it reaches positions that the convolution itself does not, which is
why what must not be seen (padding) has to be zero on the way in.

There is no Pallas form: the transforms are cuFFT's on GPU and DUCC's on CPU.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["fft_convolution", "fft_convolution_reference", "fft_length"]

#: On CPU what the caches of the FFT like; on accelerators enough channels for every multiprocessor,
#: as each group is a dozen launches.
_WORKSPACE_BYTES = 128 * 2**20
_ACCELERATOR_WORKSPACE_BYTES = 2**30
#: float32 input and result, padded, and two half spectra in complex64, by position of the FFT.
_BYTES_PER_POSITION = 24


def fft_length(shortest: int) -> int:
    """The smallest 2^a 3^b 5^c (a >= 1) that is at least ``shortest``: fast for every FFT."""
    best = 1 << max(1, (shortest - 1).bit_length())
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            twos = max(1, (-(-shortest // threes) - 1).bit_length())
            best = min(best, threes << twos)
            threes *= 3
        fives *= 5
    return best


@partial(jax.jit, static_argnames="workspace_bytes")
def fft_convolution(
    x: Float[Array, "row token channel"],
    filters: Float[Array, "token channel"],
    skip: Float[Array, " channel"] | None = None,
    *,
    workspace_bytes: int | None = None,
) -> Float[Array, "row token channel"]:
    """``y[t] = sum over j <= t of filters[j] x[t - j]``, plus ``skip x[t]``; in float32.

    Args:
        x: Input, any float dtype; positions that must not be seen are zero.
        filters: One filter a channel, as long as ``x``.
        skip: Added multiple of the input.
        workspace_bytes: Bound of the transforms alive at once, at least one channel is; by platform
            when None.

    Returns:
        The sums in the dtype of ``x``.
    """
    if filters.shape != x.shape[1:]:
        raise ValueError(f"filters {filters.shape} do not fit an input {x.shape}")
    inputs = (x, filters) if skip is None else (x, filters, skip)
    if workspace_bytes is not None:
        return _in_groups(*inputs, workspace_bytes=workspace_bytes)
    return jax.lax.platform_dependent(
        *inputs,
        cpu=partial(_in_groups, workspace_bytes=_WORKSPACE_BYTES),
        default=partial(_in_groups, workspace_bytes=_ACCELERATOR_WORKSPACE_BYTES),
    )


def _in_groups(
    x: Array, filters: Array, skip: Array | None = None, *, workspace_bytes: int
) -> Array:
    """Some channels after the others."""
    rows, length, channels = x.shape
    size = fft_length(2 * length - 1)
    most = max(1, workspace_bytes // ((rows + 1) * size * _BYTES_PER_POSITION))
    groups = -(-channels // most)
    width = -(-channels // groups)

    def convolve(part: Array, kernel: Array) -> Array:
        spectrum = jnp.fft.rfft(jnp.swapaxes(part, 1, 2).astype(jnp.float32), size)
        response = jnp.fft.rfft(kernel.T.astype(jnp.float32), size)
        return jnp.swapaxes(jnp.fft.irfft(spectrum * response[None], size)[..., :length], 1, 2)

    def group(index: Array, result: Array) -> Array:
        # The last group reaches back into the one before rather than beyond the channels.
        start = jnp.minimum(index * width, channels - width)
        part = jax.lax.dynamic_slice_in_dim(x, start, width, 2)
        kernel = jax.lax.dynamic_slice_in_dim(filters, start, width, 1)
        sums = convolve(part, kernel)
        if skip is not None:
            factor = jax.lax.dynamic_slice_in_dim(skip, start, width, 0).astype(jnp.float32)
            sums = sums + factor[None, None, :] * part.astype(jnp.float32)
        return jax.lax.dynamic_update_slice_in_dim(result, sums.astype(x.dtype), start, 2)

    return jax.lax.fori_loop(0, groups, group, jnp.zeros_like(x))


def fft_convolution_reference(
    x: Float[Array, "row token channel"],
    filters: Float[Array, "token channel"],
    skip: Float[Array, " channel"] | None = None,
) -> Float[Array, "row token channel"]:
    """The same as a triangular Toeplitz product a channel: the plain form, quadratic in memory."""
    length = x.shape[1]
    lag = jnp.arange(length)[:, None] - jnp.arange(length)[None, :]
    toeplitz = jnp.where((lag >= 0)[:, :, None], filters[jnp.maximum(lag, 0)], 0.0)
    sums = jnp.einsum("tjc,rjc->rtc", toeplitz, x, precision="highest")
    return sums if skip is None else sums + skip[None, None, :] * x
