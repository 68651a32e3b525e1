"""SPACE: Enformer with a species token and a mixture of experts (Yang et al. 2025).

A record stands in the middle of 131072 bp. Behind the tower's bins comes one token of the species;
it takes part in the attention and is dropped before the middle bins are cropped. Each feed-forward
part is a softmax over the best experts of a gate of the species; the gate reads the residual stream
and the experts its norm. All experts are computed, three of four have a weight.

Reference: recorded outputs of an independent implementation (tests/models). What is shared with
Enformer is held against enformer-pytorch there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
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
from geneb_jax.models.families.enformer import (
    EnformerConfig,
    FinalPointwise,
    bins_seen_by,
    every_bin,
    rows_first,
    trunk_sizes,
    with_last,
)
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.enformer import attention_weights, trunk_weights
from geneb_jax.models.layers.dense import Dense
from geneb_jax.models.layers.network import CLOSED_SCHEMA, Each, HiddenStates
from geneb_jax.models.layers.norms import LayerNorm
from geneb_jax.models.layers.parameters import declare, zeros
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.models.layers.sequence_cnn import (
    ConvolutionTower,
    RelativeAttention,
    in_row_groups,
    relative_features,
)
from geneb_jax.tokenizers import FolderTokenizer, OneHotTokenizer

__all__ = ["FAMILY", "Space", "SpaceConfig"]

_NORM_EPS = 1e-5
_SPECIES = ("human", "mouse")


@dataclass(frozen=True, slots=True)
class SpaceConfig(EnformerConfig):
    """Sizes.

    Attributes:
        species_num_experts: Experts of a feed-forward part.
        top_k: How many of them have a weight.
        gate_negative_slope: Of the leaky ReLU on the gate's logits.
        species: Whose token and gates are used.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    species_num_experts: int = 4
    top_k: int = 3
    gate_negative_slope: float = 0.01
    species: Literal["human", "mouse"] = "human"


class SpaceLayer(nnx.Module):
    """Pre-norm attention and a mixture of experts, each with its residual."""

    def __init__(self, config: SpaceConfig, stack: tuple[int, ...]) -> None:
        size, experts = config.trunk_width, config.species_num_experts
        self.config = config
        self.attention = RelativeAttention(
            size,
            config.head_count,
            config.key_width,
            config.value_width,
            config.relative_feature_width,
            eps=_NORM_EPS,
            stack=stack,
        )
        self.gate = Dense(size, experts, stack=stack)
        self.experts_norm = LayerNorm(size, eps=_NORM_EPS, stack=stack)
        self.inner_kernel = declare(*stack, experts, size, 2 * size)
        self.inner_bias = declare(*stack, experts, 2 * size, initialiser=zeros)
        self.outer_kernel = declare(*stack, experts, 2 * size, size)
        self.outer_bias = declare(*stack, experts, size, initialiser=zeros)

    def __call__(
        self, hidden: Float[Array, "row bin dim"], features: Float[Array, "distance feature"]
    ) -> Float[Array, "row bin dim"]:
        """One layer."""
        hidden = hidden + self.attention(hidden, features)
        return hidden + self._mixture(hidden)

    def _mixture(self, x: Array) -> Array:
        shares = self._shares(x).astype(x.dtype)
        normal = self.experts_norm(x)
        inner = jnp.einsum("rbd,edi->rbei", normal, self.inner_kernel[...])
        inner = jax.nn.relu(inner + self.inner_bias[...][None, None])
        outer = jnp.einsum("rbei,eid->rbed", inner, self.outer_kernel[...])
        outer = outer + self.outer_bias[...][None, None]
        return jnp.einsum("rbed,rbe->rbd", outer, shares)

    def _shares(self, x: Array) -> Float[Array, "row bin expert"]:
        """Softmax over the best experts, zero for the others."""
        gate = self.gate(x).astype(jnp.float32)
        logits = jax.nn.leaky_relu(gate, self.config.gate_negative_slope)
        best, chosen = jax.lax.top_k(logits, self.config.top_k)
        places = jax.nn.one_hot(chosen, logits.shape[-1], dtype=jnp.float32)
        return jnp.einsum("rbk,rbke->rbe", jax.nn.softmax(best, axis=-1), places)


class Space(nnx.Module):
    """Tower, species token, scanned layers, final projection."""

    #: As of Enformer.
    pools_in_groups = True

    def __init__(self, config: SpaceConfig) -> None:
        self.config = config
        self.tower = ConvolutionTower(
            config.stage_widths, input_length=config.input_length, eps=config.batch_norm_epsilon
        )
        self.species = declare(config.trunk_width)
        self.layers = SpaceLayer(config, stack=(config.layer_count,))
        self.final = FinalPointwise(config)

    def __call__(
        self,
        ids: Int[Array, "row token"],
        mask: Bool[Array, "row token"],
        *,
        layer: int = -1,
        each: Each | None = None,
    ) -> HiddenStates:
        """Hidden states: 0 the tower's bins, ``i`` after layer i, the last after the projection.

        All bins count, whatever the length of the record; none of a row without a token does.
        """
        config = self.config
        count = config.layer_count if layer == -1 else layer
        features = jnp.asarray(
            relative_features(config.bin_count + 1, config.relative_feature_width)
        )

        seen = bins_seen_by(None if each is None else lambda all: each(_without_species(all)))

        def attend(rows: Array) -> tuple[Array, Any]:
            species = self.species[...].astype(rows.dtype)[None, None]
            species = jnp.broadcast_to(species, (rows.shape[0], *species.shape[1:]))
            rows = jnp.concatenate([rows, species], axis=1)
            rows, inner = scan_layers(
                self.layers,
                rows,
                lambda block, x: block(x, features),
                count=count,
                each=seen,
            )
            if count == config.layer_count:
                return self.final(rows[:, :-1]), rows_first(inner)
            return rows[:, :-1], rows_first(with_last(inner, rows, seen))

        bins = self.tower(ids, mask, centred=True)
        values, inner = in_row_groups(attend, bins)
        return every_bin(values, inner, mask)


def _without_species(states: HiddenStates) -> HiddenStates:
    return HiddenStates(states.values[:, :-1], states.mask[:, :-1])


def _key_map(config: SpaceConfig) -> KeyMap:
    layer = "transformer.transformer.{layer}."
    mixture = layer + "feed_forward."
    weights = [
        *trunk_weights(len(config.stage_widths), lambda _: ()),
        *attention_weights(layer + "attention.fn."),
        Weight(
            "species",
            f"transformer.species_embedding.{config.species}",
            Transform(squeeze=(0, 1)),
        ),
        *dense_weights("layers.gate", f"{mixture}gates.{config.species}.0", bias=True),
        *norm_weights("layers.experts_norm", mixture + "layer_norm", bias=True),
        Weight("layers.inner_kernel", mixture + "input.weight"),
        Weight("layers.inner_bias", mixture + "input.bias"),
        Weight("layers.outer_kernel", mixture + "output.weight"),
        Weight("layers.outer_bias", mixture + "output.bias"),
    ]
    others = [name for name in _SPECIES if name != config.species]
    return KeyMap(
        weights=tuple(weights),
        drops=(
            Drop("*.num_batches_tracked", "batch norm counter"),
            *(
                Drop(f"heads.{name}.0.{part}", "output head")
                for name in _SPECIES
                for part in ("weight", "bias")
            ),
            *(
                Drop(f"tracks.{part}", "output head")
                for part in (
                    *(f"{name}.{of}" for name in _TRACKS for of in ("weight", "bias")),
                    "gates.[0-9].0.weight",
                    "gates.[0-9].0.bias",
                    "tracks_embedding.*",
                )
            ),
            *(Drop(f"transformer.species_embedding.{name}", "another species") for name in others),
            *(
                Drop(
                    f"transformer.transformer.*.feed_forward.gates.{name}.0.{part}",
                    "another species",
                )
                for name in others
                for part in ("weight", "bias")
            ),
        ),
        ranges={"layer": range(config.layer_count)},
        prefixes=("model.", ""),
    )


_TRACKS = (
    "gate_selector",
    "embedding_gate_selector",
    "layer_norm",
    "input_proj",
    "output_proj",
)


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "space" and "dim" in config.values


def _read_json(config: ConfigJson) -> SpaceConfig:
    return SpaceConfig(
        **trunk_sizes(config, input_length=131_072),
        species_num_experts=config.required("species_num_experts", int),
        top_k=config.required("topk", int),
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: SpaceConfig
) -> FolderTokenizer:
    return FolderTokenizer(
        OneHotTokenizer(max_tokens=config.input_length, crop="centre", u_is_t=True)
    )


FAMILY = Family(
    name="space",
    version=1,
    config=SpaceConfig,
    module=Space,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
