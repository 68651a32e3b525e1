"""StripedHyena: Evo-1. Convolutions with modal filters, and attention in a few layers (Poli 2023).

Pre-norm blocks. Most mix tokens by a gated causal convolution whose filter is a sum of decaying
modes; the others by causal attention with rotary positions stretched by a factor. The norm adds eps
to the root, not under it. Poles and residues stay in float32.

Padding is on the right, where nothing causal sees it, and is zeroed before the transform, so that
not even rounding does. The published extractor embeds only the first record of a batch.

Reference: recorded outputs of an independent implementation with plain attention (tests/models).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap, Transform, Weight, dense_weights
from geneb_jax.models.family import Family
from geneb_jax.models.layers.attention import attend
from geneb_jax.models.layers.dense import Dense, Embedding
from geneb_jax.models.layers.feed_forward import GatedFeedForward
from geneb_jax.models.layers.mixed_layers import scan_mixed_layers
from geneb_jax.models.layers.network import (
    CLOSED_SCHEMA,
    Each,
    HiddenStates,
    require_sizes,
    seen_by,
)
from geneb_jax.models.layers.parameters import declare, ones, zeros
from geneb_jax.models.layers.rotary import rotary_angles, split_half_rotary
from geneb_jax.tokenizers import ByteTokenizer, FolderTokenizer
from geneb_jax_kernels.causal_depthwise_convolution import causal_depthwise_convolution
from geneb_jax_kernels.fft_convolution import fft_convolution
from geneb_jax_kernels.modal_filter import modal_filter

__all__ = ["FAMILY", "StripedHyena", "StripedHyenaConfig"]

_UNTRAINED_MODULUS = 0.9


@dataclass(frozen=True, slots=True)
class StripedHyenaConfig:
    """Sizes.

    Attributes:
        state_width: Modes of a channel's filter.
        short_filter_width: Taps of the short convolution in front.
        rope_scaling_factor: Positions are divided by it.
        attention_layers: Which layers attend; the others convolve.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int
    inner_size: int
    state_width: int
    attention_layers: tuple[int, ...]
    short_filter_width: int = 3
    norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_scaling_factor: float = 1.0

    def __post_init__(self) -> None:
        require_sizes(self)
        if self.hidden_size % (2 * self.head_count):
            raise ValueError(
                f"{self.hidden_size} features do not divide into {self.head_count} even heads"
            )
        if not set(self.attention_layers) <= set(range(self.layer_count)):
            raise ValueError(f"attention layers {self.attention_layers} of {self.layer_count}")
        if len(set(self.attention_layers)) in (0, self.layer_count):
            raise ValueError("some layers must attend and some convolve")

    @property
    def head_width(self) -> int:
        """Features of one head."""
        return self.hidden_size // self.head_count

    @property
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size

    @property
    def longest_tokens(self) -> int | None:
        """Neither filters nor rotary positions have an end."""
        return None


class OuterEpsNorm(nnx.Module):
    """``scale x / (rms(x) + eps)``, in float32."""

    def __init__(self, size: int, *, eps: float, stack: tuple[int, ...] = ()) -> None:
        self.eps = eps
        self.scale = declare(*stack, size, initialiser=ones)

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """Normalise along the last axis; the result has the dtype of ``x``."""
        wide = x.astype(jnp.float32)
        root = jnp.sqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True))
        scale = self.scale[...].astype(jnp.float32)[None, None]
        return (wide / (root + self.eps) * scale).astype(x.dtype)


class NormedFeedForward(GatedFeedForward):
    """Norm, gated feed-forward part, residual."""

    def __init__(self, config: StripedHyenaConfig, stack: tuple[int, ...]) -> None:
        super().__init__(config.hidden_size, config.inner_size, activation="gelu", stack=stack)
        self.norm = OuterEpsNorm(config.hidden_size, eps=config.norm_eps, stack=stack)

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """The part and its residual."""
        return x + super().__call__(self.norm(x))


class HyenaBlock(nnx.Module):
    """Gated convolution and feed-forward part."""

    def __init__(self, config: StripedHyenaConfig, stack: tuple[int, ...]) -> None:
        size = config.hidden_size

        def poles(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            angle = generator.uniform(-np.pi, np.pi, shape[:-1])
            modulus = _UNTRAINED_MODULUS * generator.uniform(0.5, 1.0, shape[:-1])
            parts = [modulus * np.cos(angle), modulus * np.sin(angle)]
            return np.stack(parts, axis=-1).astype(np.float32)

        self.config = config
        self.norm = OuterEpsNorm(size, eps=config.norm_eps, stack=stack)
        self.projection = Dense(size, 3 * size, stack=stack)
        self.short_taps = declare(*stack, 3 * size, config.short_filter_width)
        self.short_bias = declare(*stack, 3 * size, initialiser=zeros)
        modes = (*stack, size, config.state_width, 2)
        self.poles = declare(*modes, initialiser=poles, keep_float32=True)
        self.residues = declare(*modes, keep_float32=True)
        self.skip = declare(*stack, size)
        self.output = Dense(size, size, stack=stack)
        self.feed_forward = NormedFeedForward(config, stack)

    def __call__(
        self, hidden: Float[Array, "row token dim"], mask: Bool[Array, "row token"]
    ) -> Float[Array, "row token dim"]:
        """One block."""
        return self.feed_forward(hidden + self.output(self._mix(self.norm(hidden), mask)))

    def _mix(self, x: Array, mask: Array) -> Array:
        short = causal_depthwise_convolution(
            self.projection(x), self.short_taps[...], self.short_bias[...]
        )
        # The three parts are next to each other within each head.
        parts = short.reshape(*x.shape[:2], self.config.head_count, 3, self.config.head_width)
        out_gate, in_gate, value = (parts[:, :, :, index].reshape(x.shape) for index in range(3))
        value = jnp.where(mask[:, :, None], value * in_gate, jnp.zeros((), x.dtype))
        filters = modal_filter(self.poles[...], self.residues[...], length=x.shape[1])
        return fft_convolution(value, filters, self.skip[...]) * out_gate


class AttentionBlock(nnx.Module):
    """Causal attention and feed-forward part."""

    def __init__(self, config: StripedHyenaConfig, stack: tuple[int, ...]) -> None:
        size = config.hidden_size
        self.config = config
        self.norm = OuterEpsNorm(size, eps=config.norm_eps, stack=stack)
        self.query = Dense(size, size, stack=stack)
        self.key = Dense(size, size, stack=stack)
        self.value = Dense(size, size, stack=stack)
        self.output = Dense(size, size, stack=stack)
        self.feed_forward = NormedFeedForward(config, stack)

    def __call__(
        self, hidden: Float[Array, "row token dim"], angles: Float[Array, "token half"]
    ) -> Float[Array, "row token dim"]:
        """One block."""
        x = self.norm(hidden)
        heads = (*x.shape[:2], self.config.head_count, self.config.head_width)
        query, key, value = (part(x).reshape(heads) for part in (self.query, self.key, self.value))
        query, key = split_half_rotary(query, angles), split_half_rotary(key, angles)
        mixed = attend(query, key, value, causal=True).reshape(x.shape)
        return self.feed_forward(hidden + self.output(mixed))


class StripedHyena(nnx.Module):
    """Embeddings, scanned blocks of two kinds, final norm."""

    def __init__(self, config: StripedHyenaConfig) -> None:
        self.config = config
        attending = len(config.attention_layers)
        self.tokens = Embedding(config.vocab_size, config.hidden_size)
        self.convolving = HyenaBlock(config, stack=(config.layer_count - attending,))
        self.attending = AttentionBlock(config, stack=(attending,))
        self.final_norm = OuterEpsNorm(config.hidden_size, eps=config.norm_eps)

    def __call__(
        self,
        ids: Int[Array, "row token"],
        mask: Bool[Array, "row token"],
        *,
        layer: int = -1,
        each: Each | None = None,
    ) -> HiddenStates:
        """Hidden states: 0 the embeddings, ``i`` after block i, the last after the final norm."""
        config = self.config
        count = config.layer_count if layer == -1 else layer
        angles = rotary_angles(jnp.arange(ids.shape[1]), config.head_width, theta=config.rope_theta)
        angles = angles / config.rope_scaling_factor
        hidden, inner = scan_mixed_layers(
            self.convolving,
            self.attending,
            [index in config.attention_layers for index in range(count)],
            self.tokens(ids),
            apply_first=lambda block, x: block(x, mask),
            apply_second=lambda block, x: block(x, angles),
            each=seen_by(each, mask),
        )
        if count == config.layer_count:
            hidden = self.final_norm(hidden)
        return HiddenStates(hidden, mask, inner)


def _key_map(config: StripedHyenaConfig) -> KeyMap:
    size = config.hidden_size
    weights = [
        Weight("tokens.table", "embedding_layer.weight"),
        Weight("final_norm.scale", "norm.scale"),
    ]
    for kind, place in (("convolving", "blocks.{hyena}."), ("attending", "blocks.{attention}.")):
        weights += [
            Weight(f"{kind}.norm.scale", place + "pre_norm.scale"),
            Weight(f"{kind}.feed_forward.norm.scale", place + "post_norm.scale"),
        ]
        for part, tensor in (("gate", "l1"), ("inner", "l2"), ("outer", "l3")):
            weights += dense_weights(
                f"{kind}.feed_forward.{part}", f"{place}mlp.{tensor}", bias=False
            )
    hyena, filters = "blocks.{hyena}.", "blocks.{hyena}.filter."
    weights += [
        *dense_weights("convolving.projection", hyena + "projections", bias=True),
        *dense_weights("convolving.output", hyena + "out_filter_dense", bias=True),
        Weight("convolving.short_taps", filters + "short_filter_weight", Transform(squeeze=(1,))),
        Weight("convolving.short_bias", filters + "short_filter_bias"),
        Weight("convolving.poles", filters + "poles", Transform(squeeze=(2,))),
        Weight("convolving.residues", filters + "residues", Transform(squeeze=(2,))),
        Weight("convolving.skip", filters + "D"),
    ]
    attention = "blocks.{attention}.inner_mha_cls."
    for index, part in enumerate(("query", "key", "value")):
        rows = Transform(rows=(index * size, (index + 1) * size, 3 * size), transpose=True)
        weights += dense_weights(f"attending.{part}", attention + "Wqkv", bias=True, transform=rows)
    weights += dense_weights("attending.output", attention + "out_proj", bias=True)
    others = [index for index in range(config.layer_count) if index not in config.attention_layers]
    return KeyMap(
        weights=tuple(weights),
        drops=(Drop("blocks.*.inner_mha_cls.rotary_emb.inv_freq", "rotary buffer, computed here"),),
        ranges={"hyena": others, "attention": sorted(config.attention_layers)},
        prefixes=("backbone.", ""),
    )


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "stripedhyena"


def _read_json(config: ConfigJson) -> StripedHyenaConfig:
    for key, only in (
        ("column_split_hyena", True),
        ("qkv_proj_bias", True),
        ("mha_out_proj_bias", True),
        ("short_filter_bias", True),
        ("final_norm", True),
        ("hyena_filter_groups", 1),
        ("proj_groups", 1),
        ("mlp_activation", "gelu"),
    ):
        config.refuse(key, unless=only)
    scaled = config.optional("use_interpolated_rotary_pos_emb", bool, False)
    factor = config.optional("rotary_emb_scaling_factor", float, 1.0)
    return StripedHyenaConfig(
        vocab_size=config.required("vocab_size", int),
        hidden_size=config.required("hidden_size", int),
        layer_count=config.required("num_layers", int),
        head_count=config.required("num_attention_heads", int),
        inner_size=config.required("inner_mlp_size", int),
        state_width=config.required("state_size", int),
        attention_layers=tuple(config.required("attn_layer_idxs", list)),
        short_filter_width=config.size("short_filter_length", 3),
        norm_eps=config.optional("eps", float, 1e-6),
        rope_theta=float(config.optional("rotary_emb_base", float, 10000.0)),
        rope_scaling_factor=float(factor) if scaled else 1.0,
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: StripedHyenaConfig
) -> FolderTokenizer:
    tokenizer = ByteTokenizer(max_tokens=config_json.optional("max_seqlen", int, None))
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(f"{config.vocab_size} rows are too few for bytes", where=folder)
    return FolderTokenizer(tokenizer)


FAMILY = Family(
    name="stripedhyena",
    version=1,
    config=StripedHyenaConfig,
    module=StripedHyena,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
