"""Caduceus: bidirectional Mamba-1, plain (PH) or equivariant to reverse complement (PS, Plant).

The equivariant form carries two halves, one a strand; the second is stored reversed in length and
channels. Here the strands are two rows of one batch, each in its own reading direction, so both
forms are one network. In the fused form of the published code, which the checkpoints were trained
with, every layer reads the *other* half: between layers the strands swap, and with them the
reading direction, so a swap is a flip of (strand, token, channel). The final norm does not swap.

Therefore the vectors of a reverse complement are those of the sequence in reverse order of tokens
and of all channels (of both halves as one axis), at every layer; their mean is that of the sequence
with its channels reversed.

Inner hidden states are the residual stream (the published code lists the blocks' outputs alone).
Reference: kuleshov-group/caduceus; recorded outputs and transformers' Mamba mixer (tests/models).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap, Weight, norm_weights
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.mamba import branch_weights, projection_weights
from geneb_jax.models.layers.dense import Embedding
from geneb_jax.models.layers.mamba import MambaBranch, MambaProjections, MambaSizes
from geneb_jax.models.layers.network import CLOSED_SCHEMA, Each, HiddenStates, require_sizes
from geneb_jax.models.layers.norms import RMSNorm
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.tokenizers import FolderTokenizer, character_tokenizer, file_tokenizer

__all__ = ["FAMILY", "CaduceusConfig", "CaduceusEncoder"]

_MOST_COMPLEMENTS = 2**16  # tokens that are letters have few
_LARGEST_RANK_SHARE = 16  # dt_rank "auto" is the width over this, rounded up


@dataclass(frozen=True, slots=True)
class CaduceusConfig:
    """Sizes and switches.

    Attributes:
        state_width: States a channel.
        time_step_rank: Rank of the map to the step sizes.
        rcps: Whether both strands are carried.
        complement_map: Id to the id of the complement, for every row; empty without ``rcps``.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    hidden_size: int
    layer_count: int
    inner_size: int
    state_width: int
    conv_width: int
    time_step_rank: int
    norm_eps: float
    rcps: bool
    complement_map: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_sizes(self)
        if not self.rcps:
            return
        paired = len(self.complement_map) == self.vocab_size and all(
            0 <= other < self.vocab_size and self.complement_map[other] == index
            for index, other in enumerate(self.complement_map)
        )
        if not paired:
            raise ValueError(
                f"complement_map must pair all {self.vocab_size} ids with one another: "
                "the complement of a complement is the id itself"
            )

    @property
    def sizes(self) -> MambaSizes:
        """Widths of a block."""
        return MambaSizes(
            hidden=self.hidden_size,
            inner=self.inner_size,
            state=self.state_width,
            conv=self.conv_width,
            rank=self.time_step_rank,
        )

    @property
    def output_width(self) -> int:
        """Length of one embedding: both halves where there are two."""
        return self.hidden_size * (2 if self.rcps else 1)

    @property
    def longest_tokens(self) -> int | None:
        """Nothing limits a scan."""
        return None


class CaduceusLayer(nnx.Module):
    """Norm, one Mamba block in both directions, residual."""

    def __init__(self, config: CaduceusConfig, stack: tuple[int, ...]) -> None:
        self.norm = RMSNorm(config.hidden_size, eps=config.norm_eps, stack=stack)
        self.projections = MambaProjections(config.sizes, stack=stack)
        self.forward = MambaBranch(config.sizes, stack=stack)
        self.backward = MambaBranch(config.sizes, stack=stack)

    def __call__(
        self, hidden: Float[Array, "row token dim"], mask: Bool[Array, "row token"]
    ) -> Float[Array, "row token dim"]:
        """One layer."""
        values, gate = self.projections.split(self.norm(hidden))
        # The output projection is linear: it is applied once, to the sum of the directions.
        both = self.forward(values, mask, reverse=False) + self.backward(values, mask, reverse=True)
        return hidden + self.projections.join(both, gate)


class CaduceusEncoder(nnx.Module):
    """Embeddings of one or two strands, scanned layers, final norm."""

    def __init__(self, config: CaduceusConfig) -> None:
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.hidden_size)
        self.layers = CaduceusLayer(config, stack=(config.layer_count,))
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
        if config.rcps:
            complements = jnp.asarray(config.complement_map, jnp.int32)[ids]
            strands = jnp.stack([ids, jnp.flip(complements, 1)])
            seen = jnp.stack([mask, jnp.flip(mask, 1)])
        else:
            strands, seen = ids[None], mask[None]
        strand_count, rows, length = strands.shape
        flat, flat_seen = strands.reshape(-1, length), seen.reshape(-1, length)

        def one_layer(block: CaduceusLayer, hidden: Array) -> Array:
            if config.rcps:
                hidden = hidden.reshape(strand_count, rows, length, -1)
                hidden = jnp.flip(hidden, (0, 2, 3)).reshape(flat.shape + hidden.shape[3:])
            return block(hidden, flat_seen)

        def side_by_side(hidden: Array) -> HiddenStates:
            if not config.rcps:
                return HiddenStates(hidden, mask)
            first, second = hidden.reshape(strand_count, rows, length, -1)
            both = jnp.concatenate([first, jnp.flip(second, (1, 2))], axis=-1)
            return HiddenStates(both, mask)

        hidden, inner = scan_layers(
            self.layers,
            self.tokens(flat),
            one_layer,
            count=count,
            each=None if each is None else lambda x: each(side_by_side(x)),
        )
        if count == config.layer_count:
            hidden = self.final_norm(hidden)
        return side_by_side(hidden)._replace(inner=inner)


def _key_map(config: CaduceusConfig) -> KeyMap:
    layer = "layers.{layer}."
    mixer = layer + ("mixer.submodule." if config.rcps else "mixer.")
    table = "embeddings.word_embeddings." + ("embedding.weight" if config.rcps else "weight")
    return KeyMap(
        weights=(
            Weight("tokens.table", table),
            *norm_weights("layers.norm", layer + "norm", bias=False),
            *projection_weights(
                "layers.projections", mixer + "mamba_fwd.", copies=mixer + "mamba_rev."
            ),
            *branch_weights("layers.forward", mixer + "mamba_fwd.", norms=False),
            *branch_weights("layers.backward", mixer + "mamba_rev.", norms=False),
            *norm_weights("final_norm", "norm_f", bias=False),
        ),
        drops=(Drop("*complement_map", "constant; the config holds it"),),
        ranges={"layer": range(config.layer_count)},
        prefixes=("caduceus.backbone.", "backbone.", ""),
    )


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "caduceus"


def _read_json(config: ConfigJson) -> CaduceusConfig:
    for key, expected in (
        ("rms_norm", True),
        ("fused_add_norm", True),
        ("bidirectional", True),
        ("bidirectional_weight_tie", True),
        ("bidirectional_strategy", "add"),
    ):
        config.refuse(key, unless=expected)
    width = config.required("d_model", int)
    blocks = ConfigJson(config.optional("ssm_cfg", dict, {}), f"{config.where}, ssm_cfg")
    blocks.refuse("bias")
    blocks.refuse("conv_bias", unless=True)
    rank = blocks.values.get("dt_rank") or "auto"
    rcps = config.optional("rcps", bool, False)
    rows = config.required("vocab_size", int)
    complements = {
        int(index): int(other)
        for index, other in config.optional("complement_map", dict, {}).items()
    }
    # The published constructor pads the table to a multiple and lets new rows be their own
    # complement; saved configs hold either size.
    multiple = config.size("pad_vocab_size_multiple", 8)
    rows = -(-rows // multiple) * multiple
    if rcps and rows > _MOST_COMPLEMENTS:
        raise ValueError(f"vocab_size is {rows}, at most {_MOST_COMPLEMENTS} can have complements")
    return CaduceusConfig(
        vocab_size=rows,
        hidden_size=width,
        layer_count=config.required("n_layer", int),
        inner_size=blocks.size("expand", 2) * width,
        state_width=blocks.size("d_state", 16),
        conv_width=blocks.size("d_conv", 4),
        time_step_rank=-(-width // _LARGEST_RANK_SHARE)
        if rank == "auto"
        else blocks.required("dt_rank", int),
        norm_eps=config.optional("norm_epsilon", float, 1e-5),
        rcps=rcps,
        complement_map=tuple(complements.get(index, index) for index in range(rows))
        if rcps
        else (),
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: CaduceusConfig
) -> FolderTokenizer:
    if (folder / "tokenizer.json").is_file():
        return file_tokenizer(folder, longest=None, rows=config.vocab_size, special_tokens=False)
    return character_tokenizer(folder, table="caduceus", rows=config.vocab_size)


FAMILY = Family(
    name="caduceus",
    version=1,
    config=CaduceusConfig,
    module=CaduceusEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
