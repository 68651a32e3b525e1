"""What Enformer and SPACE share: a convolutional tower, and attention over the bins it leaves.

The input has one fixed length (196608 and 131072 bp), most of it padding when a record has 200 bp.
Padding is part of the function, so nothing may be left out of it; but the tower sees only a few
hundred bases around a position, and where all of those are padding its bins are all the same. So
the tower runs on a window around the record and on a few bins of padding alone, which give the
bins everywhere else and at the two ends of the input. That is exact, up to rounding; it saves the
larger part of the work. The attention behind it sees all bins with their distances, so no shorter
input would give the same result there: it always runs on all of them, few records at a time.

Tokens are channels (0 to 3; 4 is no channel) of the record alone; the mask says where it ends. What
a batch is padded to on the right is therefore of no account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from scipy.special import gammaln, xlogy

from geneb_jax.models.layers.dense import Dense
from geneb_jax.models.layers.norms import LayerNorm
from geneb_jax.models.layers.parameters import declare, ones, zeros
from geneb_jax_kernels.attention_pooling import attention_pooling
from geneb_jax_kernels.relative_shift import relative_attention_of_rows

__all__ = [
    "BatchNorm",
    "ConvolutionTower",
    "RelativeAttention",
    "in_row_groups",
    "quick_gelu",
    "relative_features",
    "tower_widths",
]

_GELU_SCALE = 1.702
_STEM_TAPS, _TOWER_TAPS = 15, 5
_CHANNELS = 4
_ROWS_OF_A_GROUP = 8
_FEATURE_KINDS = 6  # exponential, central mask and gamma, each with and without the sign


def quick_gelu(x: Array) -> Array:
    """``x * sigmoid(1.702 x)``."""
    return x * jax.nn.sigmoid(_GELU_SCALE * x)


def tower_widths(trunk_width: int, stage_count: int, multiple: int) -> tuple[int, ...]:
    """Channels after the stem and after each stage: a geometric series rounded to a multiple."""
    half = trunk_width // 2
    if stage_count == 1:
        return half, half
    growth = (trunk_width / half) ** (1 / (stage_count - 1))
    series = (half * growth**index for index in range(stage_count))
    return half, *(round(width / multiple) * multiple for width in series)


class BatchNorm(nnx.Module):
    """Normalisation by stored statistics, along the last axis, in float32."""

    def __init__(self, size: int, *, eps: float) -> None:
        self.eps = eps
        self.scale = declare(size, initialiser=ones, keep_float32=True)
        self.bias = declare(size, initialiser=zeros, keep_float32=True)
        self.mean = declare(size, initialiser=zeros, keep_float32=True)
        self.variance = declare(size, initialiser=ones, keep_float32=True)

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """Normalise; the result has the dtype of ``x``."""
        factor = self.scale[...] * jax.lax.rsqrt(self.variance[...] + self.eps)
        centred = x.astype(jnp.float32) - self.mean[...][None, None]
        return (centred * factor[None, None] + self.bias[...][None, None]).astype(x.dtype)


class Convolution(nnx.Module):
    """A convolution along the tokens with as many outputs as inputs, and a bias."""

    def __init__(self, taps: int, input_size: int, output_size: int) -> None:
        self.kernel = declare(output_size, input_size, taps)
        self.bias = declare(output_size, initialiser=zeros)

    def __call__(self, x: Float[Array, "row token in"]) -> Float[Array, "row token out"]:
        """Convolve; beyond the ends of ``x`` are zeros."""
        result = jax.lax.conv_general_dilated(
            x,
            self.kernel[...],
            window_strides=(1,),
            padding="SAME",
            dimension_numbers=("NWC", "OIW", "NWC"),
            # The algorithms that stand in for float32 products are none of convolutions.
            precision="highest" if x.dtype == jnp.float32 else None,
            preferred_element_type=jnp.float32,
        )
        return (result + self.bias[...].astype(jnp.float32)[None, None]).astype(x.dtype)


class PooledStage(nnx.Module):
    """A convolution, a residual one of width one, and pooling by two."""

    def __init__(
        self, taps: int, input_size: int, output_size: int, *, eps: float, norm_first: bool
    ) -> None:
        self.norm = BatchNorm(input_size, eps=eps) if norm_first else None
        self.convolution = Convolution(taps, input_size, output_size)
        self.residual_norm = BatchNorm(output_size, eps=eps)
        self.residual = Dense(output_size, output_size)
        self.pooling = declare(output_size, output_size)

    def __call__(
        self, x: Float[Array, "row token in"], inside: Bool[Array, "row token"]
    ) -> Float[Array, "row pair out"]:
        """Halve the tokens; those outside the input are zeros to the convolution."""
        if self.norm is not None:
            x = quick_gelu(self.norm(x))
        x = self.convolution(jnp.where(inside[:, :, None], x, jnp.zeros((), x.dtype)))
        x = x + self.residual(quick_gelu(self.residual_norm(x)))
        return attention_pooling(x, self.pooling[...])


class ConvolutionTower(nnx.Module):
    """Stem and stages: from bases to bins of ``2 ** len(widths)`` bases.

    Args:
        widths: Channels after the stem and each stage; see :func:`tower_widths`.
        input_length: Bases of the input.
        eps: Of the batch norms.
    """

    def __init__(self, widths: tuple[int, ...], *, input_length: int, eps: float) -> None:
        self.stage_count = len(widths)
        self.bin_length = 2**self.stage_count
        self.bin_count = input_length // self.bin_length
        if self.bin_count * self.bin_length != input_length:
            raise ValueError(f"{input_length} bp are no multiple of bins of {self.bin_length} bp")
        sizes = (_CHANNELS, *widths)
        for index in range(self.stage_count):
            stage = PooledStage(
                _TOWER_TAPS if index else _STEM_TAPS,
                sizes[index],
                sizes[index + 1],
                eps=eps,
                norm_first=index > 0,
            )
            setattr(self, f"stage_{index}", stage)
        self.reach = self._reach()

    def _reach(self) -> int:
        """Bins to either side that a base takes part in, and that a cut makes wrong."""
        reach = 0
        for index in range(self.stage_count):
            reach += (_TOWER_TAPS if index else _STEM_TAPS) // 2
            reach = -(-reach // 2)
        return reach

    def __call__(
        self, ids: Int[Array, "row token"], mask: Bool[Array, "row token"], *, centred: bool
    ) -> Float[Array, "row bin dim"]:
        """All bins of the inputs in which the records stand.

        Args:
            ids: Channels of the records.
            mask: Where they are.
            centred: Whether a record stands in the middle of its input, or else at the start.
        """
        reach, size, total = self.reach, self.bin_length, self.bin_count
        lengths = jnp.sum(mask, axis=1, dtype=jnp.int32)
        left = jnp.zeros_like(lengths)
        if centred:
            left = (total * size - lengths) // 2
        window_bins = min(-(-ids.shape[1] // size) + 1 + 4 * reach, total + 2 * reach)
        # The outermost bins of a window are wrong: beyond the input, or as far from the record as
        # bins of padding are.
        start = jnp.clip(left // size - 2 * reach, -reach, total + reach - window_bins)
        places = start[:, None] * size + jnp.arange(window_bins * size)[None, :]
        source = places - left[:, None]
        has_base = (source >= 0) & (source < lengths[:, None])
        found = jnp.take_along_axis(ids, jnp.clip(source, 0, ids.shape[1] - 1), axis=1)
        channels = jnp.where(has_base, found, _CHANNELS)
        bins = self._run(channels, (places >= 0) & (places < total * size))
        inner = jnp.arange(total)[None, :] - start[:, None]
        in_window = (inner >= reach) & (inner < window_bins - reach)
        near = jnp.take_along_axis(bins, jnp.clip(inner, 0, window_bins - 1)[:, :, None], axis=1)
        return jnp.where(in_window[:, :, None], near, self._padding_bins()[None])

    def _padding_bins(self) -> Float[Array, "bin dim"]:
        """All bins of an input that holds no base: two ends, and one bin repeated between them."""
        reach, size = self.reach, self.bin_length
        count = min(self.bin_count, 2 * reach + 1)
        channels = jnp.full((1, count * size), _CHANNELS, jnp.int32)
        bins = self._run(channels, jnp.ones(channels.shape, bool))[0]
        order = np.arange(self.bin_count)
        from_end = order - self.bin_count + count
        chosen = np.where(order < reach, order, np.where(from_end > reach, from_end, reach))
        return bins[chosen]

    def _run(self, channels: Array, inside: Array) -> Array:
        dtype = self._stage(0).convolution.kernel[...].dtype
        x = jax.nn.one_hot(channels, _CHANNELS, dtype=dtype)
        for index in range(self.stage_count):
            x = self._stage(index)(x, inside)
            inside = inside[:, ::2]
        return x

    def _stage(self, index: int) -> PooledStage:
        return getattr(self, f"stage_{index}")


class RelativeAttention(nnx.Module):
    """Norm and multi-head attention over bins, with keys of the distances."""

    def __init__(
        self,
        size: int,
        head_count: int,
        key_width: int,
        value_width: int,
        feature_width: int,
        *,
        eps: float,
        stack: tuple[int, ...],
    ) -> None:
        self.head_count = head_count
        self.key_width = key_width
        self.norm = LayerNorm(size, eps=eps, stack=stack)
        self.query = Dense(size, head_count * key_width, bias=False, stack=stack)
        self.key = Dense(size, head_count * key_width, bias=False, stack=stack)
        self.value = Dense(size, head_count * value_width, bias=False, stack=stack)
        self.distance_key = Dense(feature_width, head_count * key_width, bias=False, stack=stack)
        self.content_bias = declare(*stack, head_count, key_width)
        self.position_bias = declare(*stack, head_count, key_width)
        self.output = Dense(head_count * value_width, size, stack=stack)

    def __call__(
        self, x: Float[Array, "row bin dim"], features: Float[Array, "distance feature"]
    ) -> Float[Array, "row bin dim"]:
        """Attend among the bins of each row; without the residual."""
        normal = self.norm(x)
        heads = (*x.shape[:2], self.head_count, -1)
        query = self.query(normal) * self.key_width**-0.5
        query, key, value = (
            part.reshape(heads) for part in (query, self.key(normal), self.value(normal))
        )
        distance_key = self.distance_key(features.astype(x.dtype)[None])[0]
        distance_key = distance_key.reshape(-1, self.head_count, self.key_width)

        attended = relative_attention_of_rows(
            query, key, value, distance_key, self.content_bias[...], self.position_bias[...]
        )
        return self.output(attended.reshape(*x.shape[:2], -1))


def in_row_groups(apply: Callable[[Array], Any], rows: Float[Array, "row bin dim"]) -> Any:
    """Apply a network of ``[row, bin, dim]`` to few rows at a time.

    It gives an array, or a tree of arrays, whose first axis is the rows; so does this.

    One on CPU: a row alone fills it, and more leave the caches. Up to eight on accelerators, which
    one row keeps waiting; all groups are of one size.
    """

    def in_groups(rows: Array, most: int) -> Any:
        count = -(-rows.shape[0] // most)
        size = -(-rows.shape[0] // count)
        whole = jnp.pad(rows, ((0, count * size - rows.shape[0]), (0, 0), (0, 0)))
        if count == 1:
            return apply(whole)
        groups = jax.lax.map(apply, whole.reshape(count, size, *rows.shape[1:]))

        def joined(leaf: Array) -> Array:
            return leaf.reshape(count * size, *leaf.shape[2:])[: rows.shape[0]]

        return jax.tree.map(joined, groups)

    def one_by_one(rows: Array) -> Any:
        return jax.lax.map(lambda row: jax.tree.map(lambda leaf: leaf[0], apply(row[None])), rows)

    return jax.lax.platform_dependent(
        rows, cpu=one_by_one, default=lambda rows: in_groups(rows, _ROWS_OF_A_GROUP)
    )


def relative_features(length: int, width: int) -> Float[np.ndarray, "distance feature"]:
    """Functions of the distances ``1 - length`` to ``length - 1``, float32.

    Rounded to float32 after every operation of the gamma density, as the original computes it: its
    logarithm is a difference of large numbers, and what rounding leaves of it is part of the model.

    Args:
        length: Bins.
        width: Features: a sixth each of exponentials, central masks and gamma densities, and the
            same times the sign of the distance.
    """
    count = width // _FEATURE_KINDS
    signed = np.arange(1 - length, length)
    distance = np.abs(signed).astype(np.float32)[:, None]
    half_lives = np.float32(2) ** _linspace(3.0, np.log2(length), count)
    exponential = np.exp(-np.float32(np.log(2.0)) / half_lives[None] * distance)
    central = (2.0 ** np.arange(1, count + 1) - 1)[None] > distance
    parts = [exponential, central, _gamma_densities(distance, length, count)]
    features = np.concatenate([part.astype(np.float32) for part in parts], axis=1)
    signs = np.sign(signed).astype(np.float32)[:, None]
    return np.concatenate([features, signs * features], axis=1)


def _gamma_densities(distance: np.ndarray, length: int, count: int) -> np.ndarray:
    deviation = np.float32(length / (2 * count))
    mean = _linspace(length / count, length, count)[None]
    concentration = np.square(mean / deviation)
    rate = mean / np.square(deviation)
    powers = xlogy((concentration - 1).astype(np.float64), distance.astype(np.float64))
    log_density = powers.astype(np.float32) - rate * distance
    gamma = gammaln(concentration.astype(np.float64)).astype(np.float32)
    normalisation = gamma - concentration * np.log(rate)
    density = np.exp(log_density - normalisation) + np.float32(1e-8)
    return density / density.max(axis=1, keepdims=True)


def _linspace(start: float, stop: float, count: int) -> np.ndarray:
    return np.linspace(start, stop, count).astype(np.float32)
