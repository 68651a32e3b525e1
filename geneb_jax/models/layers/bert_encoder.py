"""BERT-like encoders: one module with switches, shared by five families.

| family | norm | positions | feed-forward |
|---|---|---|---|
| bert | post, or pre with or without a final norm | learned | plain |
| mosaic_bert | post | ALiBi, or learned | gated, no bias on the way in |
| mutbert | post | rotary, split-half | plain |
| roformer | post | rotary, interleaved, computed or stored | plain |
| lucaone | pre, final norm, none on the embeddings | rotary, frequencies stored | plain |

Token types: every token is of type 0, as the extractors of the benchmark use these models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.layers.alibi import symmetric_alibi
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
from geneb_jax.models.layers.parameters import declare
from geneb_jax.models.layers.rotary import (
    declare_frequencies,
    interleaved_rotary,
    rotary_angles,
    rotate_interleaved,
    split_half_rotary,
)
from geneb_jax.models.layers.scanned_layers import scan_layers

__all__ = ["BertConfig", "BertEncoder", "PositionEncoding"]

PositionEncoding = Literal[
    "absolute", "rotary", "rotary-stored", "rotary-interleaved", "rotary-table", "alibi", "none"
]


@dataclass(frozen=True, slots=True)
class BertConfig(TransformerConfig):
    """Sizes and switches.

    Attributes:
        positions: ``absolute`` (learned, ``position_count`` rows), ``rotary`` (pairs i, i + half),
            ``rotary-stored`` (the same, frequencies from the checkpoint), ``rotary-interleaved``
            (pairs 2i, 2i + 1), ``rotary-table`` (the same, ``position_count`` rows of sines and
            cosines from the checkpoint), ``alibi`` (symmetric) or ``none``.
        norm: ``post``: after each residual; ``pre``: before each sub-layer.
        embedding_norm: Whether a LayerNorm follows the embeddings.
        final_norm: Whether a LayerNorm follows the last layer; only with ``pre``.
        gated: Whether the activated half is multiplied by a linear half; then without biases.
        token_type_count: Rows of the token type table, of which row 0 is used; 0 for no table.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    inner_size: int
    positions: PositionEncoding
    norm_eps: float
    position_count: int | None = None
    norm: Literal["post", "pre"] = "post"
    embedding_norm: bool = True
    final_norm: bool = False
    gated: bool = False
    activation: Literal["gelu", "gelu-tanh", "silu", "relu"] = "gelu"
    token_type_count: int = 2
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        TransformerConfig.__post_init__(self)
        if self.positions.startswith("rotary") and self.head_width % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_width}")
        stored = self.positions in ("absolute", "rotary-table")
        if stored != (self.position_count is not None):
            raise ValueError("position_count goes with a table of positions, and only with one")
        if self.final_norm and self.norm == "post":
            raise ValueError("a final norm goes with norm = 'pre', and only with it")

    @property
    def longest_tokens(self) -> int | None:
        """Rows of the position table."""
        return self.position_count


class _Positions(NamedTuple):
    """What attention needs to know of positions: angles to rotate by, or a bias of the logits."""

    angles: Float[Array, "token half"] | None = None
    table: Float[Array, "token width"] | None = None  # sines, then cosines
    bias: Float[Array, "1 head token key"] | None = None


class BertLayer(nnx.Module):
    """Self-attention and feed-forward, each with its residual and its norm."""

    def __init__(self, config: BertConfig, stack: tuple[int, ...]) -> None:
        size, inner = config.hidden_size, config.inner_size
        self.config = config
        self.query = Dense(size, size, stack=stack)
        self.key = Dense(size, size, stack=stack)
        self.value = Dense(size, size, stack=stack)
        self.attention_output = Dense(size, size, stack=stack)
        self.attention_norm = LayerNorm(size, eps=config.norm_eps, stack=stack)
        self.gate = Dense(size, inner, bias=False, stack=stack) if config.gated else None
        self.inner = Dense(size, inner, bias=not config.gated, stack=stack)
        self.outer = Dense(inner, size, stack=stack)
        self.feed_forward_norm = LayerNorm(size, eps=config.norm_eps, stack=stack)
        stored = config.positions == "rotary-stored"
        self.frequencies = (
            declare_frequencies(config.head_width, theta=config.rope_theta, stack=stack)
            if stored
            else None
        )

    def __call__(
        self,
        hidden: Float[Array, "row token dim"],
        mask: Bool[Array, "row token"],
        positions: _Positions,
    ) -> Float[Array, "row token dim"]:
        """One layer."""
        if self.config.norm == "pre":
            hidden = hidden + self._attend(self.attention_norm(hidden), mask, positions)
            return hidden + self._feed_forward(self.feed_forward_norm(hidden))
        hidden = self.attention_norm(hidden + self._attend(hidden, mask, positions))
        return self.feed_forward_norm(hidden + self._feed_forward(hidden))

    def _attend(self, x: Array, mask: Array, positions: _Positions) -> Array:
        heads = (*x.shape[:2], self.config.head_count, self.config.head_width)
        query, key, value = (part(x).reshape(heads) for part in (self.query, self.key, self.value))
        angles = positions.angles
        if self.frequencies is not None:
            places = jnp.arange(x.shape[1], dtype=jnp.float32)
            angles = places[:, None] * self.frequencies[...][None, :]
        if positions.table is not None:
            sines, cosines = jnp.split(positions.table, 2, axis=-1)
            query, key = (rotate_interleaved(part, cosines, sines) for part in (query, key))
        if angles is not None:
            interleaved = self.config.positions == "rotary-interleaved"
            rotate = interleaved_rotary if interleaved else split_half_rotary
            query, key = rotate(query, angles), rotate(key, angles)
        attended = attend(query, key, value, mask=mask, bias=positions.bias)
        return self.attention_output(attended.reshape(x.shape))

    def _feed_forward(self, x: Array) -> Array:
        activate = ACTIVATIONS[self.config.activation]
        if self.gate is None:
            return self.outer(activate(self.inner(x)))
        return self.outer(activate(self.gate(x)) * self.inner(x))


class BertEncoder(nnx.Module):
    """Embeddings, scanned layers, perhaps a final norm."""

    def __init__(self, config: BertConfig) -> None:
        self.config = config
        size, eps = config.hidden_size, config.norm_eps
        self.tokens = Embedding(config.vocab_size, size)
        types, count = config.token_type_count, config.position_count
        self.token_types = Embedding(types, size) if types else None
        table = config.positions == "rotary-table"
        self.positions = None if count is None or table else Embedding(count, size)
        self.sinusoids = _declare_sinusoids(config) if table else None
        self.embedding_norm = LayerNorm(size, eps=eps) if config.embedding_norm else None
        self.layers = BertLayer(config, stack=(config.layer_count,))
        self.final_norm = LayerNorm(size, eps=eps) if config.final_norm else None

    def __call__(
        self,
        ids: Int[Array, "row token"],
        mask: Bool[Array, "row token"],
        *,
        layer: int = -1,
        each: Each | None = None,
    ) -> HiddenStates:
        """Hidden states: 0 the embeddings, ``i`` after layer i, the last after the final norm."""
        count = self.config.layer_count if layer == -1 else layer
        positions = self._positions(ids.shape[1])
        hidden, inner = scan_layers(
            self.layers,
            self._embed(ids),
            lambda block, x: block(x, mask, positions),
            count=count,
            each=seen_by(each, mask),
        )
        if self.final_norm is not None and count == self.config.layer_count:
            hidden = self.final_norm(hidden)
        return HiddenStates(hidden, mask, inner)

    def _embed(self, ids: Array) -> Array:
        hidden = self.tokens(ids)
        if self.token_types is not None:
            hidden = hidden + self.token_types.table[0][None, None, :]
        if self.positions is not None:
            hidden = hidden + self.positions(jnp.arange(ids.shape[1])[None, :])
        return hidden if self.embedding_norm is None else self.embedding_norm(hidden)

    def _positions(self, length: int) -> _Positions:
        config = self.config
        if config.positions == "alibi":
            return _Positions(bias=jnp.asarray(symmetric_alibi(config.head_count, length)))
        if config.positions == "rotary":
            angles = rotary_angles(jnp.arange(length), config.head_width, theta=config.rope_theta)
            return _Positions(angles=angles)
        if config.positions == "rotary-interleaved":
            return _Positions(angles=jnp.asarray(_sinusoid_angles(length, config)))
        if self.sinusoids is not None:
            return _Positions(table=self.sinusoids[...][:length])
        return _Positions()


def _declare_sinusoids(config: BertConfig) -> nnx.Param[Any]:
    """RoFormer's table as files hold it: a row a position, sines in front of cosines."""

    def initialise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        angles = _sinusoid_angles(shape[0], config)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    assert config.position_count is not None
    shape = (config.position_count, config.head_width)
    return declare(*shape, initialiser=initialise, keep_float32=True)


def _sinusoid_angles(length: int, config: BertConfig) -> np.ndarray:
    """Angles by float64, float32 ``[length, half]``; RoFormer's table is made in float64.

    Reduced to one turn before rounding: thousands of radians in float32 would be off by 1e-4.
    """
    exponents = np.arange(0, config.head_width, 2) / config.head_width
    angles = np.arange(length)[:, None] / config.rope_theta ** exponents[None, :]
    return np.remainder(angles, 2 * np.pi).astype(np.float32)
