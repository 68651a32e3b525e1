"""Enformer: convolutions and attention over 196608 bp (Avsec et al. 2021).

The benchmark puts a record at the start of the input and averages the 896 bins in the middle, so a
short record is seen through attention only. That is its definition of the embedding; hidden states
below the last are of all bins. See :mod:`geneb_jax.models.layers.sequence_cnn` for what is computed
when the input is mostly padding.

Reference: enformer-pytorch 0.8.12, and recorded outputs of an independent implementation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import (
    Drop,
    KeyMap,
    Weight,
    dense_weights,
    norm_weights,
)
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.enformer import attention_weights, trunk_weights
from geneb_jax.models.layers.dense import ACTIVATIONS, Dense
from geneb_jax.models.layers.network import (
    CLOSED_SCHEMA,
    Each,
    HiddenStates,
    require_sizes,
)
from geneb_jax.models.layers.norms import LayerNorm
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.models.layers.sequence_cnn import (
    BatchNorm,
    ConvolutionTower,
    RelativeAttention,
    in_row_groups,
    quick_gelu,
    relative_features,
    tower_widths,
)
from geneb_jax.tokenizers import FolderTokenizer, OneHotTokenizer

__all__ = ["FAMILY", "Enformer", "EnformerConfig"]

_MOST_HALVINGS = 30  # of an input of 32-bit length
_NORM_EPS = 1e-5  # of the layer norms: torch's default


@dataclass(frozen=True, slots=True)
class EnformerConfig:
    """Sizes.

    Attributes:
        input_length: Bases of the input.
        stage_widths: Channels after the stem and each stage of the tower; each halves the length.
        target_length: Bins in the middle that the embedding is taken from.
        output_width: Length of one embedding.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    input_length: int
    trunk_width: int
    layer_count: int
    head_count: int
    key_width: int
    value_width: int
    relative_feature_width: int
    target_length: int
    stage_widths: tuple[int, ...]
    output_width: int
    batch_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        require_sizes(self)
        halvings = len(self.stage_widths)
        bins, rest = divmod(self.input_length, 2**halvings)
        if rest or self.target_length > bins or (bins - self.target_length) % 2:
            raise ValueError(
                f"{self.target_length} bins are not the middle of {self.input_length} bp "
                f"in {halvings} halvings"
            )
        if not self.stage_widths or self.stage_widths[-1] != self.trunk_width:
            raise ValueError(f"the tower {self.stage_widths} does not end at {self.trunk_width}")
        if self.relative_feature_width % 6:
            raise ValueError(f"{self.relative_feature_width} features are no multiple of 6")

    @property
    def bin_count(self) -> int:
        """Bins of the whole input."""
        return self.input_length // 2 ** len(self.stage_widths)

    @property
    def inner_width(self) -> int:
        """Length of an embedding before the final projection."""
        return self.trunk_width

    @property
    def vocab_size(self) -> int:
        """Four channels, and none."""
        return 5

    @property
    def longest_tokens(self) -> int:
        """Bases of the input."""
        return self.input_length


class EnformerLayer(nnx.Module):
    """Pre-norm attention and feed-forward part, each with its residual."""

    def __init__(self, config: EnformerConfig, stack: tuple[int, ...]) -> None:
        size = config.trunk_width
        self.attention = RelativeAttention(
            size,
            config.head_count,
            config.key_width,
            config.value_width,
            config.relative_feature_width,
            eps=_NORM_EPS,
            stack=stack,
        )
        self.feed_forward_norm = LayerNorm(size, eps=_NORM_EPS, stack=stack)
        self.inner = Dense(size, 2 * size, stack=stack)
        self.outer = Dense(2 * size, size, stack=stack)

    def __call__(
        self, hidden: Float[Array, "row bin dim"], features: Float[Array, "distance feature"]
    ) -> Float[Array, "row bin dim"]:
        """One layer."""
        hidden = hidden + self.attention(hidden, features)
        inner = ACTIVATIONS["relu"](self.inner(self.feed_forward_norm(hidden)))
        return hidden + self.outer(inner)


class FinalPointwise(nnx.Module):
    """The middle bins, normalised and projected."""

    def __init__(self, config: EnformerConfig) -> None:
        self.first = (config.bin_count - config.target_length) // 2
        self.target_length = config.target_length
        self.norm = BatchNorm(config.trunk_width, eps=config.batch_norm_epsilon)
        self.projection = Dense(config.trunk_width, config.output_width)

    def __call__(self, hidden: Float[Array, "row bin dim"]) -> Float[Array, "row target out"]:
        """Crop and project."""
        middle = hidden[:, self.first : self.first + self.target_length]
        return quick_gelu(self.projection(quick_gelu(self.norm(middle))))


class Enformer(nnx.Module):
    """Tower, scanned layers, final projection."""

    #: Rows run in groups, and hidden states before the last are pooled within one: see with_last.
    pools_in_groups = True

    def __init__(self, config: EnformerConfig) -> None:
        self.config = config
        self.tower = ConvolutionTower(
            config.stage_widths, input_length=config.input_length, eps=config.batch_norm_epsilon
        )
        self.layers = EnformerLayer(config, stack=(config.layer_count,))
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
        features = jnp.asarray(relative_features(config.bin_count, config.relative_feature_width))

        def attend(rows: Array) -> tuple[Array, Any]:
            rows, inner = scan_layers(
                self.layers,
                rows,
                lambda block, x: block(x, features),
                count=count,
                each=bins_seen_by(each),
            )
            if count == config.layer_count:
                return self.final(rows), rows_first(inner)
            return rows, rows_first(with_last(inner, rows, bins_seen_by(each)))

        bins = self.tower(ids, mask, centred=False)
        values, inner = in_row_groups(attend, bins)
        return every_bin(values, inner, mask)


def every_bin(
    values: Float[Array, "row bin dim"], inner: Any, mask: Bool[Array, "row token"]
) -> HiddenStates:
    """All bins of rows that have a token; what was seen of the others is zero, as pooling has it.

    Args:
        values: Vectors of the bins.
        inner: What :func:`bins_seen_by` gave of each layer, rows first.
        mask: Tokens.
    """
    has_token = jnp.any(mask, axis=1)
    counts = jnp.broadcast_to(has_token[:, None], values.shape[:2])

    def layers_first(leaf: Array) -> Array:
        there = has_token.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.moveaxis(jnp.where(there, leaf, jnp.zeros((), leaf.dtype)), 1, 0)

    return HiddenStates(values, counts, jax.tree.map(layers_first, inner))


def bins_seen_by(each: Each | None) -> Callable[[Array], Any] | None:
    """``each`` of the bins of rows whose tokens are not at hand: all of them count."""
    if each is None:
        return None
    return lambda x: each(HiddenStates(x, jnp.ones(x.shape[:2], bool)))


def with_last(inner: Any, rows: Array, seen: Callable[[Array], Any] | None) -> Any:
    """What was seen of the layers, and of the state behind them.

    A sum over the bins of one row and the same sum among many rows differ in their last bits. So
    all hidden states before the network's last are pooled where the layers of a row are run, that
    of the deepest layer too, whether it is wanted alone or with others.
    """
    if seen is None:
        return inner
    join = partial(jax.tree.map, lambda kept, last: jnp.concatenate([kept, last[None]]))
    return join(inner, seen(rows))


def rows_first(inner: Any) -> Any:
    """``[layer, row, ...]`` to ``[row, layer, ...]``, for groups of rows."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), inner)


def _trunk_name(tensor: str) -> tuple[str, ...]:
    """The same tensor as a part of the sequential trunk, under which the file repeats it."""
    first, rest = tensor.split(".", 1)
    numbers = {"stem": 1, "conv_tower": 2, "transformer": 4, "final_pointwise": 6}
    return (f"_trunk.{numbers[first]}.{rest}",)


def _key_map(config: EnformerConfig) -> KeyMap:
    feed_forward = "transformer.{layer}.1.fn."
    layers = [
        *attention_weights("transformer.{layer}.0.fn."),
        *norm_weights("layers.feed_forward_norm", f"{feed_forward}0", bias=True),
        *dense_weights("layers.inner", f"{feed_forward}1", bias=True),
        *dense_weights("layers.outer", f"{feed_forward}4", bias=True),
    ]
    named = [
        Weight(weight.parameter, weight.tensor, weight.transform, _trunk_name(weight.tensor))
        for weight in layers
    ]
    return KeyMap(
        weights=(*trunk_weights(len(config.stage_widths), _trunk_name), *named),
        drops=(
            Drop("*.num_batches_tracked", "batch norm counter"),
            *(
                Drop(f"_heads.{species}.0.{part}", "output head")
                for species in ("human", "mouse")
                for part in ("weight", "bias")
            ),
        ),
        ranges={"layer": range(config.layer_count)},
    )


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "enformer" and "dim" in config.values


def trunk_sizes(config: ConfigJson, *, input_length: int) -> dict[str, Any]:
    """What config.json says of the tower and the attention, which SPACE names likewise.

    Args:
        config: The file.
        input_length: Bases, where it does not say.
    """
    config.refuse("use_tf_gamma")
    width = config.required("dim", int)
    heads = config.required("heads", int)
    halvings = config.size("num_downsamples", 7)
    if halvings > _MOST_HALVINGS:
        raise ValueError(f"num_downsamples is {halvings}, at most {_MOST_HALVINGS} can be")
    return {
        "input_length": config.size("seq_length", input_length),
        "trunk_width": width,
        "layer_count": config.required("depth", int),
        "head_count": heads,
        "key_width": config.size("attn_dim_key", 64),
        "value_width": width // heads,
        "relative_feature_width": width // heads,
        "target_length": config.size("target_length", 896),
        "stage_widths": tower_widths(
            width,
            halvings - 1,
            config.size("dim_divisible_by", 128),
        ),
        "output_width": 2 * width,
    }


def _read_json(config: ConfigJson) -> EnformerConfig:
    return EnformerConfig(**trunk_sizes(config, input_length=196_608))


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: EnformerConfig
) -> FolderTokenizer:
    return FolderTokenizer(OneHotTokenizer(max_tokens=config.input_length))


FAMILY = Family(
    name="enformer",
    version=1,
    config=EnformerConfig,
    module=Enformer,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
