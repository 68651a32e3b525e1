"""ESM encoders: Nucleotide Transformer v1 and v2, Agro-NT, and plain transformers ``EsmModel``.

Pre-norm transformer encoders with two switches. v1, Agro-NT and ESM-1b: learned absolute positions,
GELU, biases. v2: rotary positions (ESM-2 as well), SwiGLU, no biases in the feed-forward part.

Reference: transformers 5.23 ``EsmModel`` for all but the SwiGLU form, which transformers does not
have; that one is held by recorded outputs of an independent implementation (tests/models).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.checkpoints.checkpoint import TensorInfo
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
from geneb_jax.models.layers.attention import attend
from geneb_jax.models.layers.dense import ACTIVATIONS, Dense, Embedding
from geneb_jax.models.layers.network import (
    CLOSED_SCHEMA,
    Each,
    HiddenStates,
    TransformerConfig,
    seen_by,
)
from geneb_jax.models.layers.norms import LayerNorm
from geneb_jax.models.layers.rotary import (
    declare_frequencies,
    rotary_angles,
    split_half_rotary,
)
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.tokenizers import FolderTokenizer, vocabulary_tokenizer

__all__ = ["FAMILY", "EsmConfig", "EsmEncoder"]

#: Share of tokens that training replaced by <mask>: 15% chosen, 80% of those masked.
_TRAINING_MASK_RATIO = 0.15 * 0.8
_FREQUENCIES = "rotary_embeddings.inv_freq"
#: So transformers 5 writes the name, with the star.
_ANY_LAYER = "encoder.layer.*.attention.self." + _FREQUENCIES


@dataclass(frozen=True, slots=True)
class EsmConfig(TransformerConfig):
    """Sizes and switches.

    Attributes:
        positions: ``absolute`` (learned, ``position_count`` rows), ``rotary``, or ``rotary-stored``
            (frequencies from the checkpoint).
        feed_forward: ``gelu`` or ``swiglu`` (first half through SiLU, times the second half).
        token_dropout: Whether embeddings are scaled as if masked tokens had been dropped out.
        embedding_norm: Whether a LayerNorm follows the embeddings.
        pad_id: Positions count from ``pad_id + 1``, as in the original.
        mask_id: Token that ``token_dropout`` zeroes.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    inner_size: int
    positions: Literal["absolute", "rotary", "rotary-stored"]
    norm_eps: float
    position_count: int | None = None
    feed_forward: Literal["gelu", "swiglu"] = "gelu"
    feed_forward_bias: bool = True
    token_dropout: bool = False
    embedding_norm: bool = False
    pad_id: int = 1
    mask_id: int = -1
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        TransformerConfig.__post_init__(self)
        if self.positions.startswith("rotary") and self.head_width % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_width}")
        if (self.positions == "absolute") != (self.position_count is not None):
            raise ValueError("position_count goes with absolute positions, and only with them")

    @property
    def longest_tokens(self) -> int | None:
        """Rows of the position table that tokens can reach."""
        return None if self.position_count is None else self.position_count - self.pad_id - 1


class EsmLayer(nnx.Module):
    """Pre-norm self-attention and feed-forward, each with its residual."""

    def __init__(self, config: EsmConfig, stack: tuple[int, ...]) -> None:
        size, inner = config.hidden_size, config.inner_size
        gated = config.feed_forward == "swiglu"
        self.config = config
        self.attention_norm = LayerNorm(size, eps=config.norm_eps, stack=stack)
        self.query = Dense(size, size, stack=stack)
        self.key = Dense(size, size, stack=stack)
        self.value = Dense(size, size, stack=stack)
        self.attention_output = Dense(size, size, stack=stack)
        self.feed_forward_norm = LayerNorm(size, eps=config.norm_eps, stack=stack)
        bias = config.feed_forward_bias
        self.gate = Dense(size, inner, bias=bias, stack=stack) if gated else None
        self.inner = Dense(size, inner, bias=bias, stack=stack)
        self.outer = Dense(inner, size, bias=bias, stack=stack)

    def __call__(
        self,
        hidden: Float[Array, "row token dim"],
        mask: Bool[Array, "row token"],
        angles: Float[Array, "token half"] | None,
    ) -> Float[Array, "row token dim"]:
        """One layer."""
        hidden = hidden + self._attend(self.attention_norm(hidden), mask, angles)
        return hidden + self._feed_forward(self.feed_forward_norm(hidden))

    def _attend(self, x: Array, mask: Array, angles: Array | None) -> Array:
        heads = (*x.shape[:2], self.config.head_count, self.config.head_width)
        query, key, value = (part(x).reshape(heads) for part in (self.query, self.key, self.value))
        # Scaled before the rotation, as the original: in low precision the order shows.
        query = query * self.config.head_width**-0.5
        if angles is not None:
            query, key = split_half_rotary(query, angles), split_half_rotary(key, angles)
        return self.attention_output(
            attend(query, key, value, mask=mask, scale=1.0).reshape(x.shape)
        )

    def _feed_forward(self, x: Array) -> Array:
        if self.gate is None:
            return self.outer(ACTIVATIONS["gelu"](self.inner(x)))
        return self.outer(ACTIVATIONS["silu"](self.gate(x)) * self.inner(x))


class EsmEncoder(nnx.Module):
    """Embeddings, scanned layers, final norm."""

    def __init__(self, config: EsmConfig) -> None:
        self.config = config
        size = config.hidden_size
        self.tokens = Embedding(config.vocab_size, size)
        count = config.position_count
        self.positions = None if count is None else Embedding(count, size)
        stored = config.positions == "rotary-stored"
        self.frequencies = (
            declare_frequencies(config.head_width, theta=config.rope_theta) if stored else None
        )
        self.embedding_norm = (
            LayerNorm(size, eps=config.norm_eps) if config.embedding_norm else None
        )
        self.layers = EsmLayer(config, stack=(config.layer_count,))
        self.final_norm = LayerNorm(size, eps=config.norm_eps)

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
        hidden = self._embed(ids, mask)
        angles = None
        if config.positions == "rotary":
            positions = jnp.arange(ids.shape[1])
            angles = rotary_angles(positions, config.head_width, theta=config.rope_theta)
        if self.frequencies is not None:
            places = jnp.arange(ids.shape[1], dtype=jnp.float32)
            angles = places[:, None] * self.frequencies[...][None, :]
        hidden, inner = scan_layers(
            self.layers,
            hidden,
            lambda block, x: block(x, mask, angles),
            count=count,
            each=seen_by(each, mask),
        )
        if count == config.layer_count:
            hidden = self.final_norm(hidden)
        return HiddenStates(hidden, mask, inner)

    def _embed(self, ids: Array, mask: Array) -> Array:
        hidden = self.tokens(ids)
        if self.config.token_dropout:
            masked = (ids == self.config.mask_id) & mask
            seen = jnp.maximum(jnp.sum(mask, axis=1, dtype=jnp.float32), 1.0)
            observed = jnp.sum(masked, axis=1, dtype=jnp.float32) / seen
            scale = (1.0 - _TRAINING_MASK_RATIO) / (1.0 - observed)
            scale = jnp.where(masked, 0.0, scale[:, None])
            hidden = (hidden.astype(jnp.float32) * scale[:, :, None]).astype(hidden.dtype)
        if self.positions is not None:
            places = jnp.cumsum(mask, axis=1, dtype=jnp.int32) * mask.astype(jnp.int32)
            hidden = hidden + self.positions(places + self.config.pad_id)
        if self.embedding_norm is not None:
            hidden = self.embedding_norm(hidden)
        return jnp.where(mask[:, :, None], hidden, jnp.zeros((), hidden.dtype))


def _layer_frequencies(layer: int) -> str:
    """The name in files of transformers 4, where every layer had a copy."""
    return _ANY_LAYER.replace("*", str(layer))


def _key_map(config: EsmConfig) -> KeyMap:
    layer = "encoder.layer.{layer}."

    def half(index: int) -> Transform:
        """One half of the rows of a fused map."""
        size = config.inner_size
        return Transform(rows=(index * size, (index + 1) * size, 2 * size), transpose=True)

    bias, fused = config.feed_forward_bias, layer + "intermediate.dense"
    if config.feed_forward == "swiglu":
        inner = [
            *dense_weights("layers.gate", fused, bias=bias, transform=half(0)),
            *dense_weights("layers.inner", fused, bias=bias, transform=half(1)),
        ]
    else:
        inner = dense_weights("layers.inner", fused, bias=bias)
    embeddings = [Weight("tokens.table", "embeddings.word_embeddings.weight")]
    drops = []
    if config.positions == "absolute":
        embeddings.append(Weight("positions.table", "embeddings.position_embeddings.weight"))
    else:
        unused = "unused with rotary positions"
        drops.append(Drop("embeddings.position_embeddings.weight", unused))
    if config.positions == "rotary-stored":
        copies = (_ANY_LAYER, *(_layer_frequencies(at) for at in range(config.layer_count)))
        embeddings.append(Weight("frequencies", _FREQUENCIES, copies=copies))
    else:
        drops.append(Drop(f"*{_FREQUENCIES}", "rotary buffer, computed here"))
    if config.embedding_norm:
        embeddings += norm_weights("embedding_norm", "embeddings.layer_norm", bias=True)
    return KeyMap(
        weights=(
            *embeddings,
            *norm_weights("layers.attention_norm", layer + "attention.LayerNorm", bias=True),
            *dense_weights("layers.query", layer + "attention.self.query", bias=True),
            *dense_weights("layers.key", layer + "attention.self.key", bias=True),
            *dense_weights("layers.value", layer + "attention.self.value", bias=True),
            *dense_weights("layers.attention_output", layer + "attention.output.dense", bias=True),
            *norm_weights("layers.feed_forward_norm", layer + "LayerNorm", bias=True),
            *inner,
            *dense_weights("layers.outer", layer + "output.dense", bias=bias),
            *norm_weights("final_norm", "encoder.emb_layer_norm_after", bias=True),
        ),
        drops=tuple(drops),
        ranges={"layer": range(config.layer_count)},
        prefixes=("", "esm."),
    )


def _settle(config: EsmConfig, tensors: Mapping[str, TensorInfo]) -> EsmConfig:
    """Frequencies that a file stores are read, as transformers reads them: not ``rope_theta``.

    ``EsmModel`` keeps them as a buffer, so ``save_pretrained`` writes them and ``from_pretrained``
    takes them from there, whatever config.json says by then.
    """
    stored = any(name.endswith(_FREQUENCIES) for name in tensors)
    if config.positions == "rotary" and stored:
        return dataclasses.replace(config, positions="rotary-stored")
    return config


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "esm"


def _read_json(config: ConfigJson) -> EsmConfig:
    for key in ("is_folding_model", "is_decoder", "add_cross_attention"):
        config.refuse(key)
    config.rope_theta()  # scaled positions are refused
    kinds = {"absolute": True, "rotary": False}
    absolute = config.choice("position_embedding_type", kinds, "absolute")
    # The published NT v2 code gates its feed-forward part always; only its config has this key.
    gated = "add_bias_fnn" in config.values or "esm_config" in config.remote_code
    return EsmConfig(
        vocab_size=config.required("vocab_size", int),
        hidden_size=config.required("hidden_size", int),
        layer_count=config.required("num_hidden_layers", int),
        head_count=config.required("num_attention_heads", int),
        inner_size=config.required("intermediate_size", int),
        positions="absolute" if absolute else "rotary",
        position_count=config.required("max_position_embeddings", int) if absolute else None,
        norm_eps=config.optional("layer_norm_eps", float, 1e-12),
        feed_forward="swiglu" if gated else "gelu",
        feed_forward_bias=config.optional("add_bias_fnn", bool, not gated),
        token_dropout=config.optional("token_dropout", bool, False),
        embedding_norm=config.optional("emb_layer_norm_before", bool, False),
        pad_id=config.optional("pad_token_id", int, 1),
        mask_id=config.optional("mask_token_id", int, -1),
        # Of EsmModel, which knows no rope_parameters.
        rope_theta=config.base("rope_theta", 10000.0),
    )


def _folder_tokenizer(folder: Path, config_json: ConfigJson, config: EsmConfig) -> FolderTokenizer:
    declared = config_json.optional("max_position_embeddings", int, None)
    return vocabulary_tokenizer(
        folder,
        longest=config.longest_tokens or declared,
        rows=config.vocab_size,
        config=config_json.values,
    )


FAMILY = Family(
    name="esm",
    version=1,
    config=EsmConfig,
    module=EsmEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    settle=_settle,
    folder_tokenizer=_folder_tokenizer,
)
