"""HyenaDNA: long convolutions with implicit filters instead of attention (Nguyen et al. 2023).

Pre-norm layers of a Hyena operator of order 2 and a feed-forward part. The filter of a channel is a
small network of the position, windowed by an exponential decay; both are functions of the position
relative to the longest input the model was made for, which is why that length is in the config.

Padding: the published extractor pads on the left, where the convolution carries it into every
token. Here it is on the right, behind everything a causal convolution lets a token see, and it is
zeroed before the transform, so that not even rounding sees what stands there. A row is what it is
alone.

Reference: multimolecule 0.2.2 ``HyenaDnaModel``, and recorded outputs of an independent
implementation (tests/models).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import (
    KeyMap,
    Transform,
    Weight,
    dense_weights,
    norm_weights,
)
from geneb_jax.models.family import Family
from geneb_jax.models.layers.dense import ACTIVATIONS, Dense, Embedding
from geneb_jax.models.layers.network import CLOSED_SCHEMA, Each, HiddenStates, require_sizes
from geneb_jax.models.layers.norms import LayerNorm
from geneb_jax.models.layers.parameters import declare, ones, zeros
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.tokenizers import FolderTokenizer, character_tokenizer
from geneb_jax_kernels.causal_depthwise_convolution import causal_depthwise_convolution
from geneb_jax_kernels.fft_convolution import fft_convolution

__all__ = ["FAMILY", "HyenaDna", "HyenaDnaConfig"]

#: What the decay of the filter's window never falls below, and its rates for untrained models.
_WINDOW_FLOOR = 0.05
_SLOWEST_DECAY, _FASTEST_DECAY = np.log(100.0) / 1.5, np.log(100.0) / 0.3
_UNTRAINED_FREQUENCY = 10.0
_FILTER_LAYERS = (0, 2, 4)
_OUTPUT_LAYER = 6


@dataclass(frozen=True, slots=True)
class HyenaDnaConfig:
    """Sizes.

    Attributes:
        embedding_rows: Rows of the embedding; the vocabulary rounded up to a multiple of 8.
        max_tokens: Longest input, the unit of the filters' positions.
        filter_width: Width of the network that gives the filters.
        positional_width: Its inputs: the position, cosines and sines.
        short_filter_width: Taps of the short convolution in front.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    embedding_rows: int
    hidden_size: int
    layer_count: int
    inner_size: int
    max_tokens: int
    filter_width: int = 64
    positional_width: int = 5
    short_filter_width: int = 3
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        require_sizes(self)
        if self.vocab_size > self.embedding_rows:
            raise ValueError(
                f"{self.vocab_size} tokens do not fit {self.embedding_rows} embedding rows"
            )
        if self.positional_width < 3 or self.positional_width % 2 == 0:
            raise ValueError(f"positional_width must be odd and at least 3: {self}")

    @property
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size

    @property
    def longest_tokens(self) -> int:
        """Positions that the filters are defined for."""
        return self.max_tokens


def positional_features(
    max_tokens: int, width: int
) -> tuple[Float[np.ndarray, "width token"], Float[np.ndarray, " token"]]:
    """What published checkpoints store as ``z`` and ``t``: features of the positions, 0 to 1."""
    time = np.linspace(0.0, 1.0, max_tokens)
    turns = 2 * np.pi * np.arange(max_tokens) / max_tokens
    bands = (width - 1) // 2
    angles = np.linspace(1e-4, bands - 1, bands)[:, None] * turns
    features = np.concatenate([time[None], np.cos(angles), -np.sin(angles)])
    return features.astype(np.float32), time.astype(np.float32)


class HyenaFilter(nnx.Module):
    """The implicit filters of one layer; in float32 whatever the compute dtype."""

    def __init__(self, config: HyenaDnaConfig, stack: tuple[int, ...]) -> None:
        width, inputs, longest = config.filter_width, config.positional_width, config.max_tokens

        def features(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            return np.broadcast_to(positional_features(longest, inputs)[0], shape)

        def time(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            return np.broadcast_to(positional_features(longest, inputs)[1], shape)

        def decays(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            rates = np.linspace(_SLOWEST_DECAY, _FASTEST_DECAY, shape[-1], dtype=np.float32)
            return np.broadcast_to(rates, shape)

        def frequencies(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            return np.full(shape, _UNTRAINED_FREQUENCY, np.float32)

        self.features = declare(*stack, inputs, longest, initialiser=features, keep_float32=True)
        self.time = declare(*stack, longest, initialiser=time, keep_float32=True)
        self.decay = declare(*stack, config.hidden_size, initialiser=decays, keep_float32=True)
        self.frequency = declare(*stack, width, initialiser=frequencies, keep_float32=True)
        self.kernel_0 = declare(*stack, inputs, width, keep_float32=True)
        self.kernel_2 = declare(*stack, width, width, keep_float32=True)
        self.kernel_4 = declare(*stack, width, width, keep_float32=True)
        self.kernel_6 = declare(*stack, width, config.hidden_size, keep_float32=True)
        self.bias_0 = declare(*stack, width, initialiser=zeros, keep_float32=True)
        self.bias_2 = declare(*stack, width, initialiser=zeros, keep_float32=True)
        self.bias_4 = declare(*stack, width, initialiser=zeros, keep_float32=True)
        self.skip = declare(*stack, config.hidden_size, initialiser=ones, keep_float32=True)

    def __call__(self, length: int) -> Float[Array, "token dim"]:
        """The filters' first ``length`` values."""
        hidden = self.features[:, :length].T
        for kernel, bias in (
            (self.kernel_0, self.bias_0),
            (self.kernel_2, self.bias_2),
            (self.kernel_4, self.bias_4),
        ):
            hidden = jnp.matmul(hidden, kernel[...], precision="highest") + bias[...][None]
            hidden = jnp.sin(self.frequency[...][None] * hidden)
        values = jnp.matmul(hidden, self.kernel_6[...], precision="highest")
        window = jnp.exp(-self.time[:length][:, None] * jnp.abs(self.decay[...])[None])
        return values * (window + _WINDOW_FLOOR)


class HyenaLayer(nnx.Module):
    """Pre-norm Hyena operator and feed-forward part, each with its residual."""

    def __init__(self, config: HyenaDnaConfig, stack: tuple[int, ...]) -> None:
        size, inner = config.hidden_size, config.inner_size
        self.mixer_norm = LayerNorm(size, eps=config.norm_eps, stack=stack)
        self.mixer_input = Dense(size, 3 * size, stack=stack)
        self.short_taps = declare(*stack, 3 * size, config.short_filter_width)
        self.short_bias = declare(*stack, 3 * size, initialiser=zeros)
        self.long_filter = HyenaFilter(config, stack)
        self.mixer_output = Dense(size, size, stack=stack)
        self.feed_forward_norm = LayerNorm(size, eps=config.norm_eps, stack=stack)
        self.inner = Dense(size, inner, stack=stack)
        self.outer = Dense(inner, size, stack=stack)

    def __call__(
        self, hidden: Float[Array, "row token dim"], mask: Bool[Array, "row token"]
    ) -> Float[Array, "row token dim"]:
        """One layer."""
        hidden = hidden + self._mix(self.mixer_norm(hidden), mask)
        inner = ACTIVATIONS["gelu-tanh"](self.inner(self.feed_forward_norm(hidden)))
        return hidden + self.outer(inner)

    def _mix(self, x: Array, mask: Array) -> Array:
        short = causal_depthwise_convolution(
            self.mixer_input(x), self.short_taps[...], self.short_bias[...]
        )
        out_gate, in_gate, value = jnp.split(short, 3, axis=-1)
        value = jnp.where(mask[:, :, None], value * in_gate, jnp.zeros((), x.dtype))
        filters = self.long_filter(x.shape[1])
        value = fft_convolution(value, filters, self.long_filter.skip[...])
        return self.mixer_output(value * out_gate)


class HyenaDna(nnx.Module):
    """Embeddings, scanned layers, final norm."""

    def __init__(self, config: HyenaDnaConfig) -> None:
        self.config = config
        self.tokens = Embedding(config.embedding_rows, config.hidden_size)
        self.layers = HyenaLayer(config, stack=(config.layer_count,))
        self.final_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)

    def __call__(
        self,
        ids: Int[Array, "row token"],
        mask: Bool[Array, "row token"],
        *,
        layer: int = -1,
        each: Each | None = None,
    ) -> HiddenStates:
        """Hidden states: 0 the embeddings, ``i`` after layer i, the last after the final norm."""
        config = self.config
        count = config.layer_count if layer == -1 else layer
        padding = max(0, ids.shape[1] - config.max_tokens)
        inside = mask[:, : config.max_tokens]  # behind it the filters are not defined
        hidden = self.tokens(ids[:, : config.max_tokens])

        def as_long(hidden: Array) -> HiddenStates:
            return HiddenStates(jnp.pad(hidden, ((0, 0), (0, padding), (0, 0))), mask)

        hidden, inner = scan_layers(
            self.layers,
            hidden,
            lambda block, x: block(x, inside),
            count=count,
            each=None if each is None else lambda x: each(as_long(x)),
        )
        if count == config.layer_count:
            hidden = self.final_norm(hidden)
        return as_long(hidden)._replace(inner=inner)


def _key_map(config: HyenaDnaConfig) -> KeyMap:
    layer = "backbone.layers.{layer}."
    mixer, filters = layer + "mixer.", layer + "mixer.filter_fn."
    network = filters + "implicit_filter."
    weights = [
        Weight("tokens.table", "backbone.embeddings.word_embeddings.weight"),
        *norm_weights("layers.mixer_norm", layer + "norm1", bias=True),
        *norm_weights("layers.feed_forward_norm", layer + "norm2", bias=True),
        *norm_weights("final_norm", "backbone.ln_f", bias=True),
        *dense_weights("layers.mixer_input", mixer + "in_proj", bias=True),
        *dense_weights("layers.mixer_output", mixer + "out_proj", bias=True),
        *dense_weights("layers.inner", layer + "mlp.fc1", bias=True),
        *dense_weights("layers.outer", layer + "mlp.fc2", bias=True),
        Weight("layers.short_taps", mixer + "short_filter.weight", Transform(squeeze=(1,))),
        Weight("layers.short_bias", mixer + "short_filter.bias"),
        Weight("layers.long_filter.skip", filters + "bias"),
        Weight(
            "layers.long_filter.features",
            filters + "pos_emb.z",
            Transform(squeeze=(0,), transpose=True),
        ),
        Weight("layers.long_filter.time", filters + "pos_emb.t", Transform(squeeze=(0, 2))),
        Weight(
            "layers.long_filter.decay", filters + "modulation.deltas", Transform(squeeze=(0, 1))
        ),
        # One frequency vector, used by all three activations; some files repeat it.
        Weight(
            "layers.long_filter.frequency",
            network + "1.freq",
            Transform(squeeze=(0,)),
            copies=(network + "3.freq", network + "5.freq"),
        ),
    ]
    for index in (*_FILTER_LAYERS, _OUTPUT_LAYER):
        kernel, bias = (f"layers.long_filter.{part}_{index}" for part in ("kernel", "bias"))
        weights.append(Weight(kernel, f"{network}{index}.weight", Transform(transpose=True)))
        if index != _OUTPUT_LAYER:
            weights.append(Weight(bias, f"{network}{index}.bias"))
    return KeyMap(
        weights=tuple(weights),
        ranges={"layer": range(config.layer_count)},
        prefixes=("hyena.", ""),
    )


def _claims(config: ConfigJson) -> bool:
    # multimolecule gives its own models of another layout the same model_type.
    return config.optional("model_type", str, "") == "hyenadna" and "d_model" in config.values


def _read_json(config: ConfigJson) -> HyenaDnaConfig:
    for key, only in (("hyena_order", 2), ("num_inner_mlps", 2)):
        config.refuse(key, unless=only)
    vocab_size = config.required("vocab_size", int)
    multiple = config.size("pad_vocab_size_multiple", 8)
    hidden_size = config.required("d_model", int)
    return HyenaDnaConfig(
        vocab_size=vocab_size,
        embedding_rows=-(-vocab_size // multiple) * multiple,
        hidden_size=hidden_size,
        layer_count=config.required("n_layer", int),
        inner_size=config.size("d_inner", 4 * hidden_size),
        max_tokens=config.required("max_seq_len", int),
        filter_width=config.size("filter_order", 64),
        positional_width=config.size("emb_dim", 5),
        short_filter_width=config.size("short_filter_order", 3),
        norm_eps=config.optional("layer_norm_epsilon", float, 1e-5),
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: HyenaDnaConfig
) -> FolderTokenizer:
    return character_tokenizer(
        folder, table="hyenadna", rows=config.embedding_rows, longest=config.max_tokens
    )


FAMILY = Family(
    name="hyenadna",
    version=1,
    config=HyenaDnaConfig,
    module=HyenaDna,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
