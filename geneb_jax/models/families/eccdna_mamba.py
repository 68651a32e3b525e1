"""eccDNAMamba: two independent Mamba-2 stacks, one a direction, joined by a projection.

Each layer is a Mamba-2 mixer (Dao and Gu 2024, arXiv 2405.21060) and a gated feed-forward part,
pre-norm. The backward stack reads its input from the last token to the first; here it does so in
place. The published code multiplies by the mask after every layer, which does not keep padding out
of the backward stack: convolution and state have run over it by then. Here masked tokens leave both
untouched.

Inner hidden states are the mean of the two residual streams. The last is the projection of both
final norms, as the published code pools it.
Reference: transformers 5.23 ``Mamba2Mixer``; recorded outputs (tests/models).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import (
    Drop,
    KeyMap,
    Transform,
    Weight,
    dense_weights,
    norm_weights,
)
from geneb_jax.models.family import Family
from geneb_jax.models.layers.dense import Dense, Embedding
from geneb_jax.models.layers.mamba import step_biases, uniform_taps
from geneb_jax.models.layers.network import CLOSED_SCHEMA, Each, HiddenStates, require_sizes
from geneb_jax.models.layers.norms import RMSNorm
from geneb_jax.models.layers.parameters import declare, ones, zeros
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.tokenizers import FolderTokenizer, file_tokenizer
from geneb_jax_kernels.causal_depthwise_convolution import causal_depthwise_convolution
from geneb_jax_kernels.ssd import ssd

__all__ = ["FAMILY", "EccDnaMambaConfig", "EccDnaMambaEncoder"]

_LARGEST_START_RATE = 16.0  # A_init_range of the published blocks: uniform from 1


def _log_rates(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.log(generator.uniform(1.0, _LARGEST_START_RATE, shape)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class EccDnaMambaConfig:
    """Sizes.

    Attributes:
        inner_size: Channels of the scan: ``head_count`` times ``head_width``.
        state_width: States a channel.
        groups: B and C are shared by the heads of a group; the gated norm works in groups too.
        mlp_width: Inner width of the gated feed-forward part.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    hidden_size: int
    layer_count: int
    inner_size: int
    state_width: int
    conv_width: int
    head_width: int
    head_count: int
    groups: int
    mlp_width: int
    norm_eps: float

    def __post_init__(self) -> None:
        require_sizes(self)
        if self.head_width * self.head_count != self.inner_size:
            raise ValueError(
                f"{self.head_count} heads of {self.head_width} are not {self.inner_size} channels"
            )
        if self.head_count % self.groups:
            raise ValueError(f"{self.head_count} heads do not divide into {self.groups} groups")

    @property
    def convolved_size(self) -> int:
        """Channels of the convolution: the values, B and C."""
        return self.inner_size + 2 * self.groups * self.state_width

    @property
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size

    @property
    def longest_tokens(self) -> int | None:
        """Nothing limits a scan."""
        return None


class Mamba2Mixer(nnx.Module):
    """One projection to gate, values, B, C and step; convolution, scan, gated norm, projection."""

    def __init__(self, config: EccDnaMambaConfig, stack: tuple[int, ...]) -> None:
        self.config = config
        size, inner, heads = config.hidden_size, config.inner_size, config.head_count
        self.gate = Dense(size, inner, bias=False, stack=stack)
        self.convolved = Dense(size, config.convolved_size, bias=False, stack=stack)
        self.step = Dense(size, heads, bias=False, stack=stack)
        self.taps = declare(
            *stack, config.convolved_size, config.conv_width, initialiser=uniform_taps
        )
        self.taps_bias = declare(*stack, config.convolved_size, initialiser=zeros)
        self.step_bias = declare(*stack, heads, initialiser=step_biases, keep_float32=True)
        self.log_rate = declare(*stack, heads, initialiser=_log_rates, keep_float32=True)
        self.skip = declare(*stack, heads, initialiser=ones, keep_float32=True)
        self.norm_scale = declare(*stack, inner, initialiser=ones)
        self.out_of = Dense(inner, size, bias=False, stack=stack)

    def __call__(
        self,
        x: Float[Array, "row token dim"],
        mask: Bool[Array, "row token"],
        *,
        reverse: bool,
    ) -> Float[Array, "row token dim"]:
        """Mix along the tokens, or against them."""
        config = self.config
        along = x.shape[:2]
        convolved = causal_depthwise_convolution(
            self.convolved(x), self.taps[...], self.taps_bias[...], mask=mask, reverse=reverse
        )
        grouped = config.groups * config.state_width
        values, into, out_of = jnp.split(
            jax.nn.silu(convolved), [config.inner_size, config.inner_size + grouped], axis=-1
        )
        raw = self.step(x).astype(jnp.float32) + self.step_bias[...][None, None]
        scanned = ssd(
            values.reshape(*along, config.head_count, config.head_width),
            jax.nn.softplus(raw),
            -jnp.exp(self.log_rate[...]),
            into.reshape(*along, config.groups, config.state_width),
            out_of.reshape(*along, config.groups, config.state_width),
            self.skip[...],
            mask=mask,
            reverse=reverse,
        )
        return self.out_of(self._gated_norm(scanned.reshape(values.shape), self.gate(x)))

    def _gated_norm(self, values: Array, gate: Array) -> Array:
        """Gate first, then RMS within each group."""
        wide = values.astype(jnp.float32) * jax.nn.silu(gate.astype(jnp.float32))
        parts = wide.reshape(*wide.shape[:2], self.config.groups, -1)
        mean_square = jnp.mean(jnp.square(parts), axis=-1, keepdims=True)
        normal = (parts * jax.lax.rsqrt(mean_square + self.config.norm_eps)).reshape(wide.shape)
        scale = self.norm_scale[...].astype(jnp.float32)[None, None]
        return (normal * scale).astype(values.dtype)


class EccDnaMambaLayer(nnx.Module):
    """Mixer and gated feed-forward part, each pre-norm with its residual."""

    def __init__(self, config: EccDnaMambaConfig, stack: tuple[int, ...]) -> None:
        size, eps = config.hidden_size, config.norm_eps
        self.mixer_norm = RMSNorm(size, eps=eps, stack=stack)
        self.mixer = Mamba2Mixer(config, stack)
        self.feed_forward_norm = RMSNorm(size, eps=eps, stack=stack)
        self.inner = Dense(size, config.mlp_width, bias=False, stack=stack)
        self.gate = Dense(size, config.mlp_width, bias=False, stack=stack)
        self.outer = Dense(config.mlp_width, size, bias=False, stack=stack)

    def __call__(
        self,
        hidden: Float[Array, "row token dim"],
        mask: Bool[Array, "row token"],
        *,
        reverse: bool,
    ) -> Float[Array, "row token dim"]:
        """One layer."""
        hidden = hidden + self.mixer(self.mixer_norm(hidden), mask, reverse=reverse)
        x = self.feed_forward_norm(hidden)
        return hidden + self.outer(self.inner(x) * jax.nn.silu(self.gate(x)))


class _BothDirections(nnx.Module):
    def __init__(self, config: EccDnaMambaConfig, stack: tuple[int, ...]) -> None:
        self.forward = EccDnaMambaLayer(config, stack)
        self.backward = EccDnaMambaLayer(config, stack)


class EccDnaMambaEncoder(nnx.Module):
    """Embeddings, two scanned stacks side by side, final norms, projection."""

    def __init__(self, config: EccDnaMambaConfig) -> None:
        self.config = config
        size = config.hidden_size
        self.tokens = Embedding(config.vocab_size, size)
        self.layers = _BothDirections(config, (config.layer_count,))
        self.forward_norm = RMSNorm(size, eps=config.norm_eps)
        self.backward_norm = RMSNorm(size, eps=config.norm_eps)
        self.projection = Dense(2 * size, size, bias=False)

    def __call__(
        self,
        ids: Int[Array, "row token"],
        mask: Bool[Array, "row token"],
        *,
        layer: int = -1,
        each: Each | None = None,
    ) -> HiddenStates:
        """Hidden states: 0 the embeddings, ``i`` after layer i, the last after the projection."""
        count = self.config.layer_count if layer == -1 else layer
        hidden = self.tokens(ids)

        def one_layer(block: _BothDirections, pair: tuple[Array, Array]) -> tuple[Array, Array]:
            return (
                block.forward(pair[0], mask, reverse=False),
                block.backward(pair[1], mask, reverse=True),
            )

        def mean_of(pair: tuple[Array, Array]) -> HiddenStates:
            return HiddenStates((pair[0] + pair[1]) / 2, mask)

        (forward, backward), inner = scan_layers(
            self.layers,
            (hidden, hidden),
            one_layer,
            count=count,
            each=None if each is None else lambda pair: each(mean_of(pair)),
        )
        if count < self.config.layer_count:
            return mean_of((forward, backward))._replace(inner=inner)
        both = [self.forward_norm(forward), self.backward_norm(backward)]
        return HiddenStates(self.projection(jnp.concatenate(both, axis=-1)), mask, inner)


def _key_map(config: EccDnaMambaConfig) -> KeyMap:
    weights = [
        Weight("tokens.table", "token_embedding.weight"),
        *dense_weights("projection", "lm_head_proj", bias=False),
    ]
    for name in ("forward", "backward"):
        weights += norm_weights(f"{name}_norm", f"mamba_{name}.backbone.norm_f", bias=False)
        weights += _layer_weights(
            config, f"layers.{name}", f"mamba_{name}.backbone.layers.{{layer}}."
        )
    return KeyMap(
        weights=tuple(weights),
        drops=(
            Drop("mamba_*.backbone.embedding.weight", "unused: the stacks get embedded tokens"),
            Drop("mamba_*.lm_head.weight", "output head of a stack"),
        ),
        ranges={"layer": range(config.layer_count)},
    )


def _layer_weights(config: EccDnaMambaConfig, parameter: str, tensor: str) -> list[Weight]:
    ends = np.cumsum([0, config.inner_size, config.convolved_size, config.head_count]).tolist()
    half = config.mlp_width

    def part(start: int, stop: int, of: int) -> Transform:
        return Transform(rows=(start, stop, of), transpose=True)

    weights = [
        *norm_weights(f"{parameter}.mixer_norm", f"{tensor}norm", bias=False),
        *norm_weights(f"{parameter}.feed_forward_norm", f"{tensor}norm2", bias=False),
        Weight(f"{parameter}.inner.kernel", f"{tensor}mlp.fc1.weight", part(0, half, 2 * half)),
        Weight(
            f"{parameter}.gate.kernel", f"{tensor}mlp.fc1.weight", part(half, 2 * half, 2 * half)
        ),
        *dense_weights(f"{parameter}.outer", f"{tensor}mlp.fc2", bias=False),
        *dense_weights(f"{parameter}.mixer.out_of", f"{tensor}mixer.out_proj", bias=False),
        Weight(f"{parameter}.mixer.taps", f"{tensor}mixer.conv1d.weight", Transform(squeeze=(1,))),
    ]
    for index, name in enumerate(("gate", "convolved", "step")):
        rows = part(ends[index], ends[index + 1], ends[-1])
        weights.append(
            Weight(f"{parameter}.mixer.{name}.kernel", f"{tensor}mixer.in_proj.weight", rows)
        )
    for name, stored in (
        ("taps_bias", "conv1d.bias"),
        ("step_bias", "dt_bias"),
        ("log_rate", "A_log"),
        ("skip", "D"),
        ("norm_scale", "norm.weight"),
    ):
        weights.append(Weight(f"{parameter}.mixer.{name}", f"{tensor}mixer.{stored}"))
    return weights


def _claims(config: ConfigJson) -> bool:
    return "BiMambaForMaskedLM" in config.architectures


def _read_json(config: ConfigJson) -> EccDnaMambaConfig:
    blocks = ConfigJson(config.optional("ssm_cfg", dict, {}), f"{config.where}, ssm_cfg")
    blocks.refuse("layer", unless="Mamba2")
    size = config.required("d_model", int)
    inner = blocks.size("expand", config.size("expand", 2)) * size
    head_width = blocks.size("headdim", 64)
    return EccDnaMambaConfig(
        vocab_size=config.required("vocab_size", int),
        hidden_size=size,
        layer_count=config.required("n_layer", int),
        inner_size=inner,
        state_width=blocks.size("d_state", 128),
        conv_width=blocks.size("d_conv", 4),
        head_width=head_width,
        head_count=inner // head_width,
        groups=blocks.size("ngroups", 1),
        # The published config says 0; its wrapper always builds the gated part, 4 widths wide.
        mlp_width=config.optional("d_intermediate", int, 0) or 4 * size,
        norm_eps=config.optional("norm_epsilon", float, 1e-5),
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: EccDnaMambaConfig
) -> FolderTokenizer:
    return file_tokenizer(folder, longest=None, rows=config.vocab_size)


FAMILY = Family(
    name="eccdna_mamba",
    version=1,
    config=EccDnaMambaConfig,
    module=EccDnaMambaEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
