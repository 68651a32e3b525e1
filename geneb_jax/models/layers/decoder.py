"""The causal transformer of LLaMA, Mistral, OLMo, GPT-2 and DNA-GPT: one module, with switches.

Pre-norm layers, each part with its residual, and a final norm. RMSNorm or LayerNorm with or without
scale and bias; rotary or learned positions; a gated or a plain feed-forward part; grouped queries.

Padding stands on the right and is never masked: a token sees itself and earlier ones only, so no
token sees padding. That also makes the left padding of some published extractors needless. Rotary
positions are relative, so a shift of the whole row changes nothing; learned ones count from the
first token, as transformers counts them under an attention mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.layers.attention import attend
from geneb_jax.models.layers.dense import ACTIVATIONS, Dense, Embedding
from geneb_jax.models.layers.network import Each, HiddenStates, seen_by
from geneb_jax.models.layers.norms import LayerNorm, RMSNorm
from geneb_jax.models.layers.rotary import rotary_angles, split_half_rotary
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.models.layers.stored import stored_on_gpus

__all__ = ["Decoder", "DecoderConfig"]

#: Added to a logit, leaves its weight at zero.
_OUTSIDE = -1e30


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes and switches; families make one from their own config.

    Attributes:
        vocab_size: Rows of the token embedding.
        kv_head_count: Heads of keys and values; fewer than ``head_count`` are shared.
        head_width: Features of a head; heads together may be wider than ``hidden_size``.
        inner_size: Width of the feed-forward part, of one half where it is gated.
        norm: ``rms`` or ``layer``.
        norm_scale: Whether norms have a scale.
        norm_bias: Whether norms have a bias; LayerNorm only.
        position_count: Rows of the learned position table; None for rotary positions.
        rope_theta: Base of the rotary frequencies.
        sliding_window: Tokens that attention reaches back, the token itself among them.
        activation: Name in :data:`geneb_jax.models.layers.dense.ACTIVATIONS`.
        gated: Whether the activation of one map multiplies another: ``act(gate(x)) * inner(x)``.
        attention_bias: Whether the four maps of the attention have biases.
        feed_forward_bias: Whether those of the feed-forward part have.

    Raises:
        ValueError: for sizes that do not go together.
    """

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int
    kv_head_count: int
    head_width: int
    inner_size: int
    norm: Literal["rms", "layer"]
    norm_eps: float
    activation: str
    gated: bool
    norm_scale: bool = True
    norm_bias: bool = False
    position_count: int | None = None
    rope_theta: float = 10000.0
    sliding_window: int | None = None
    attention_bias: bool = False
    feed_forward_bias: bool = False

    def __post_init__(self) -> None:
        if self.kv_head_count < 1 or self.head_count % self.kv_head_count:
            raise ValueError(
                f"{self.head_count} heads do not divide by {self.kv_head_count} heads of keys"
            )
        if self.position_count is None and self.head_width % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_width}")


def _norm(config: DecoderConfig, stack: tuple[int, ...] = ()) -> LayerNorm | RMSNorm:
    size, eps, scale = config.hidden_size, config.norm_eps, config.norm_scale
    if config.norm == "rms":
        return RMSNorm(size, eps=eps, scale=scale, stack=stack)
    return LayerNorm(size, eps=eps, scale=scale, bias=config.norm_bias, stack=stack)


class DecoderLayer(nnx.Module):
    """Pre-norm causal self-attention and feed-forward, each with its residual."""

    def __init__(self, config: DecoderConfig, stack: tuple[int, ...]) -> None:
        size, inner = config.hidden_size, config.inner_size
        queries = config.head_count * config.head_width
        keys = config.kv_head_count * config.head_width
        bias = config.attention_bias
        self.config = config
        self.attention_norm = _norm(config, stack)
        self.query = Dense(size, queries, bias=bias, stack=stack)
        self.key = Dense(size, keys, bias=bias, stack=stack)
        self.value = Dense(size, keys, bias=bias, stack=stack)
        self.attention_output = Dense(queries, size, bias=bias, stack=stack)
        bias = config.feed_forward_bias
        self.feed_forward_norm = _norm(config, stack)
        self.gate = Dense(size, inner, bias=bias, stack=stack) if config.gated else None
        self.inner = Dense(size, inner, bias=bias, stack=stack)
        self.outer = Dense(inner, size, bias=bias, stack=stack)

    def __call__(
        self, hidden: Float[Array, "row token dim"], angles: Float[Array, "token half"] | None
    ) -> Float[Array, "row token dim"]:
        """One layer; ``angles`` are the rotary ones, None with learned positions."""
        hidden = hidden + self._attend(self.attention_norm(hidden), angles)
        return hidden + self._feed_forward(self.feed_forward_norm(hidden))

    def _attend(self, x: Array, angles: Array | None) -> Array:
        query, key, value = (
            part(x).reshape(*x.shape[:2], -1, self.config.head_width)
            for part in (self.query, self.key, self.value)
        )
        if angles is not None:
            query, key = split_half_rotary(query, angles), split_half_rotary(key, angles)
        mixed = attend(query, key, value, causal=True, bias=self._window(x.shape[1]))
        return self.attention_output(stored_on_gpus(mixed.reshape(*x.shape[:2], -1)))

    def _window(self, length: int) -> Array | None:
        """What keeps a token from those further back than the window; none where none are."""
        window = self.config.sliding_window
        if window is None or length <= window:
            return None
        places = jnp.arange(length)
        outside = places[:, None] - places[None, :] >= window
        return jnp.where(outside, _OUTSIDE, 0.0)[None, None]

    def _feed_forward(self, x: Array) -> Array:
        activation = ACTIVATIONS[self.config.activation]
        if self.gate is None:
            return self.outer(activation(self.inner(x)))
        return self.outer(activation(self.gate(x)) * self.inner(x))


class Decoder(nnx.Module):
    """Embeddings, scanned layers, final norm."""

    def __init__(self, config: DecoderConfig) -> None:
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.hidden_size)
        count = config.position_count
        self.positions = None if count is None else Embedding(count, config.hidden_size)
        self.layers = DecoderLayer(config, stack=(config.layer_count,))
        self.final_norm = _norm(config)

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
        positions = jnp.arange(ids.shape[1])
        hidden = self.tokens(ids)
        angles = None
        if self.positions is None:
            angles = rotary_angles(positions, config.head_width, theta=config.rope_theta)
        else:
            hidden = hidden + self.positions(positions[None, :])
        hidden, inner = scan_layers(
            self.layers,
            hidden,
            lambda block, x: block(x, angles),
            count=count,
            each=seen_by(each, mask),
        )
        if count == config.layer_count:
            hidden = self.final_norm(hidden)
        return HiddenStates(hidden, mask, inner)
