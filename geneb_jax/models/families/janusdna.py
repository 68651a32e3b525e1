"""JanusDNA: two Mamba-1 streams with mixtures of experts, joined by a masked final attention.

One stream reads the sequence forwards, the other backwards; they share the blocks' projections and
nothing else. Odd layers have a mixture of experts, even ones a plain feed-forward part; the middle
layer of one variant is attention. A final attention looks at both streams, each position at what
lies before it forwards and after it backwards, and both are fused shifted by one.

The network always runs on ``padded_tokens`` tokens, as the benchmark's extractor feeds it: padding
is part of its input, the backward stream starts with it, and the final attention sees it. So an
embedding depends on its sequence alone, whatever the batch. Two more facts of the original are
kept: the middle attention applies the mask of the sequence, not reversed, to the reversed stream;
and the result is twice the final norm (the extractor replaces the last feed-forward part by the
identity and keeps its residual).

Inner hidden states are the mean of the two streams.
Reference: Qihao-Duan/JanusDNA; recorded outputs and transformers' Jamba mixer (tests/models).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import KeyMap
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.janus import janus_key_map
from geneb_jax.models.layers.attention import attend
from geneb_jax.models.layers.dense import Dense, Embedding
from geneb_jax.models.layers.feed_forward import GatedFeedForward, MixtureOfExperts
from geneb_jax.models.layers.mamba import MambaBranch, MambaProjections, MambaSizes
from geneb_jax.models.layers.network import CLOSED_SCHEMA, Each, HiddenStates, require_sizes
from geneb_jax.models.layers.norms import RMSNorm
from geneb_jax.models.layers.stored import stored_on_gpus
from geneb_jax.tokenizers import FolderTokenizer, character_tokenizer

__all__ = ["FAMILY", "JanusDnaConfig", "JanusDnaEncoder"]

_ROWS_AT_ONCE = 4  # of the final attention: its logits are square in twice the padded length
_HIDDEN_LOGIT = -1e30
#: Both streams at the tokens' own positions, forward and backward.
Streams = tuple[Array, Array]


@dataclass(frozen=True, slots=True)
class JanusDnaConfig:
    """Sizes and switches.

    Attributes:
        head_width: Features of an attention head.
        flex_head_dim: Width to which the final attention pads its heads; it sets the scale only.
        middle_attention_layer: The layer that is attention; None where all are Mamba.
        padded_tokens: Every record is padded to this many tokens with ``pad_token_id``.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int
    head_width: int
    flex_head_dim: int
    inner_size: int
    state_size: int
    conv_size: int
    dt_rank: int
    mlp_size: int
    expert_count: int
    experts_per_token: int
    padded_tokens: int
    pad_token_id: int
    norm_eps: float
    middle_attention_layer: int | None = None

    def __post_init__(self) -> None:
        require_sizes(self)
        if self.head_count * self.head_width != self.hidden_size:
            raise ValueError(
                f"{self.head_count} heads of {self.head_width} are not {self.hidden_size} features"
            )
        middle = self.middle_attention_layer
        if middle is not None and (middle % 2 or not 0 <= middle < self.layer_count):
            raise ValueError(f"attention in layer {middle}: expected an even one that there is")

    @property
    def kinds(self) -> dict[str, list[int]]:
        """The layers of each kind, in order; kinds without layers are left out."""
        middle = self.middle_attention_layer
        kinds = {
            "plain": [layer for layer in range(0, self.layer_count, 2) if layer != middle],
            "sparse": list(range(1, self.layer_count, 2)),
            "attention": [] if middle is None else [middle],
        }
        return {kind: layers for kind, layers in kinds.items() if layers}

    @property
    def sizes(self) -> MambaSizes:
        """Widths of a Mamba block."""
        return MambaSizes(
            hidden=self.hidden_size,
            inner=self.inner_size,
            state=self.state_size,
            conv=self.conv_size,
            rank=self.dt_rank,
            norm_eps=self.norm_eps,
        )

    @property
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size

    @property
    def longest_tokens(self) -> int | None:
        """The padded length."""
        return self.padded_tokens


class _Side(nnx.Module):
    """What one direction of a layer has of its own: two norms and a feed-forward part."""

    def __init__(self, config: JanusDnaConfig, *, sparse: bool, stack: tuple[int, ...]) -> None:
        size, eps = config.hidden_size, config.norm_eps
        self.input_norm = RMSNorm(size, eps=eps, stack=stack)
        self.feed_forward_norm = RMSNorm(size, eps=eps, stack=stack)
        self.feed_forward: MixtureOfExperts | GatedFeedForward
        if sparse:
            self.feed_forward = MixtureOfExperts(
                size,
                config.mlp_size,
                count=config.expert_count,
                chosen=config.experts_per_token,
                stack=stack,
            )
        else:
            self.feed_forward = GatedFeedForward(size, config.mlp_size, stack=stack)

    def finish(self, hidden: Array) -> Array:
        """The layer's second half."""
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))


class MambaLayer(nnx.Module):
    """A Mamba block on each stream."""

    def __init__(self, config: JanusDnaConfig, *, sparse: bool, stack: tuple[int, ...]) -> None:
        self.projections = MambaProjections(config.sizes, stack=stack)
        self.forward = MambaBranch(config.sizes, stack=stack)
        self.backward = MambaBranch(config.sizes, stack=stack)
        self.forward_side = _Side(config, sparse=sparse, stack=stack)
        self.backward_side = _Side(config, sparse=sparse, stack=stack)

    def __call__(self, streams: Streams, mask: Bool[Array, "row token"]) -> Streams:
        """One layer; the padding is part of the input, so the mask plays no part."""
        forward, backward = streams
        forward = self._mix(self.forward, self.forward_side, forward, reverse=False)
        backward = self._mix(self.backward, self.backward_side, backward, reverse=True)
        return forward, backward

    def _mix(self, branch: MambaBranch, side: _Side, hidden: Array, *, reverse: bool) -> Array:
        values, gate = self.projections.split(side.input_norm(hidden))
        everything = jnp.ones(hidden.shape[:2], bool)
        mixed = branch(values, everything, reverse=reverse)
        return side.finish(hidden + self.projections.join(mixed, gate))


class _Heads(nnx.Module):
    """Projections of multi-head attention."""

    def __init__(self, config: JanusDnaConfig, *, stack: tuple[int, ...]) -> None:
        size = config.hidden_size
        self.heads = (config.head_count, config.head_width)
        self.query = Dense(size, size, bias=False, stack=stack)
        self.key = Dense(size, size, bias=False, stack=stack)
        self.value = Dense(size, size, bias=False, stack=stack)
        self.output = Dense(size, size, bias=False, stack=stack)

    def split(self, x: Float[Array, "row token dim"]) -> tuple[Array, Array, Array]:
        """Queries, keys, values, ``[row, token, head, width]``."""
        query, key, value = (
            part(x).reshape(*x.shape[:2], *self.heads)
            for part in (self.query, self.key, self.value)
        )
        return query, key, value


class AttentionLayer(nnx.Module):
    """Causal attention on each stream in its own reading direction."""

    def __init__(self, config: JanusDnaConfig, *, stack: tuple[int, ...]) -> None:
        self.forward = _Heads(config, stack=stack)
        self.backward = _Heads(config, stack=stack)
        self.forward_side = _Side(config, sparse=False, stack=stack)
        self.backward_side = _Side(config, sparse=False, stack=stack)

    def __call__(self, streams: Streams, mask: Bool[Array, "row token"]) -> Streams:
        """One layer; the backward stream meets the mask unreversed, as in the original."""
        forward = self._attend(self.forward, self.forward_side, streams[0], mask)
        turned = jnp.flip(streams[1], 1)
        turned = self._attend(self.backward, self.backward_side, turned, mask)
        return forward, jnp.flip(turned, 1)

    def _attend(self, heads: _Heads, side: _Side, hidden: Array, mask: Array) -> Array:
        query, key, value = heads.split(side.input_norm(hidden))
        attended = attend(query, key, value, mask=mask, causal=True).reshape(hidden.shape)
        attended = jnp.where(mask[:, :, None], attended, jnp.zeros((), attended.dtype))
        return side.finish(hidden + heads.output(stored_on_gpus(attended)))


class FinalAttention(nnx.Module):
    """Both streams end to end attend to one another; no position sees its own token's future."""

    def __init__(self, config: JanusDnaConfig) -> None:
        self.scale = config.flex_head_dim**-0.5
        self.input_norm = RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.heads = _Heads(config, stack=())
        self.feed_forward_norm = RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.feed_forward = GatedFeedForward(config.hidden_size, config.mlp_size, stack=())

    def __call__(self, streams: Streams) -> Streams:
        """One layer, without positions and without a padding mask."""
        length = streams[0].shape[1]
        hidden = jnp.concatenate(streams, axis=1)
        query, key, value = self.heads.split(self.input_norm(hidden))
        bias = jnp.where(visible_pairs(length), 0.0, _HIDDEN_LOGIT)[None, None]
        bias = bias.astype(jnp.float32)

        def one_row(row: tuple[Array, Array, Array]) -> Array:
            query, key, value = (part[None] for part in row)
            return attend(query, key, value, bias=bias, scale=self.scale)[0]

        attended = jax.lax.map(one_row, (query, key, value), batch_size=_ROWS_AT_ONCE)
        attended = stored_on_gpus(attended.reshape(hidden.shape))
        hidden = hidden + self.heads.output(attended)
        hidden = hidden + self.feed_forward(self.feed_forward_norm(hidden))
        return hidden[:, :length], hidden[:, length:]


def visible_pairs(length: int) -> Bool[Array, "query key"]:
    """Which keys a query sees, over the forward stream followed by the backward one.

    Forward sees itself and earlier forward, and backward from two positions on; backward sees
    itself and later backward, and forward up to two positions before.
    """
    place = jnp.arange(length)
    query, key = place[:, None], place[None, :]
    return jnp.block([[key <= query, key >= query + 2], [key <= query - 2, key >= query]])


class JanusDnaEncoder(nnx.Module):
    """Embeddings, layers of up to three kinds, final attention, fusion, final norm."""

    def __init__(self, config: JanusDnaConfig) -> None:
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.hidden_size)
        stacks = {kind: (len(layers),) for kind, layers in config.kinds.items()}
        for kind, stack in stacks.items():
            layers: nnx.Module
            if kind == "attention":
                layers = AttentionLayer(config, stack=stack)
            else:
                layers = MambaLayer(config, sparse=kind == "sparse", stack=stack)
            setattr(self, kind, layers)
        self.final_attention = FinalAttention(config)
        self.final_norm = RMSNorm(config.hidden_size, eps=config.norm_eps)

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
        ids, mask = self._padded(ids, mask)
        hidden = self.tokens(ids)

        def mean_of(streams: Streams) -> HiddenStates:
            return HiddenStates((streams[0] + streams[1]) / 2, mask)

        keep = None if each is None else lambda streams: each(mean_of(streams))
        (forward, backward), inner = self._run((hidden, hidden), mask, count, keep)
        if count < config.layer_count:
            return mean_of((forward, backward))._replace(inner=inner)
        forward, backward = self.final_attention((forward, backward))
        before = jnp.pad(forward, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        after = jnp.pad(backward, ((0, 0), (0, 1), (0, 0)))[:, 1:]
        return HiddenStates(2 * self.final_norm(before + after), mask, inner)

    def _padded(self, ids: Array, mask: Array) -> tuple[Array, Array]:
        """Exactly ``padded_tokens`` long; the tokenizer sees to it that tokens fit."""
        extra = max(0, self.config.padded_tokens - ids.shape[1])
        ids, mask = (
            jnp.pad(part, ((0, 0), (0, extra)))[:, : self.config.padded_tokens]
            for part in (ids, mask)
        )
        return jnp.where(mask, ids, self.config.pad_token_id), mask

    def _run(
        self, streams: Streams, mask: Array, count: int, keep: Callable[[Streams], Any] | None
    ) -> tuple[Streams, Any]:
        """The first layers, as one program whatever their number: each step picks its kind."""
        kinds = self.config.kinds
        where = {
            layer: (kind, slot)
            for kind, layers in enumerate(kinds.values())
            for slot, layer in enumerate(layers)
        }
        branches = [_branch(getattr(self, kind), mask) for kind in kinds]

        def step(streams: Streams, place: Array) -> tuple[Streams, Any]:
            kept = None if keep is None else keep(streams)
            return jax.lax.switch(place[0], branches, place[1], streams), kept

        if not count:
            return streams, None
        places = jnp.asarray([where[layer] for layer in range(count)], jnp.int32)
        return jax.lax.scan(step, streams, places)


def _branch(layers: Any, mask: Array) -> Any:
    definition, stacked = nnx.split(layers)

    def run(slot: Array, streams: Streams) -> Streams:
        here = jax.tree.map(lambda leaf: jnp.asarray(leaf)[slot], stacked)
        return nnx.merge(definition, here)(streams, mask)

    return run


def _key_map(config: JanusDnaConfig) -> KeyMap:
    return janus_key_map(config.kinds, expert_count=config.expert_count)


def _read_json(config: ConfigJson) -> JanusDnaConfig:
    raise CheckpointError(
        "JanusDNA is published without a config.json",
        where=config.where,
        hint="load it by its id: `-m JanusDNA_72_w --path FILE.ckpt`",
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: JanusDnaConfig
) -> FolderTokenizer:
    return character_tokenizer(
        folder, table="caduceus", rows=config.vocab_size, longest=config.padded_tokens
    )


FAMILY = Family(
    name="janusdna",
    version=1,
    config=JanusDnaConfig,
    module=JanusDnaEncoder,
    key_map=_key_map,
    claims=lambda config: False,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
    # So that batches are planned at the length the network runs at.
    length_multiple=1024,
)
