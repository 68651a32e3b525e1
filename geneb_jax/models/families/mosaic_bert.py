"""MosaicBERT: DNABERT-2 and DNABERT-S with ALiBi, Genomics-FM with learned positions.

Post-norm BERT with a gated feed-forward part; query, key and value are stored as one matrix. The
published code drops padded rows before the feed-forward part, which changes no token.

Genomics-FM's code (terry-r123/Genomics-FM) has both kinds of positions, and the benchmark's
extractor does not ask for ALiBi. Nothing in its config.json says so: its folder loads by the id of
the model, and alone is refused for the table of positions that ALiBi has no use for.

References: multimolecule 0.2.2 ``DnaBert2Model`` and ``DnaBertSModel``; recorded outputs for
learned positions (tests/models).
"""

from __future__ import annotations

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import (
    KeyMap,
    Transform,
    Weight,
    dense_weights,
    norm_weights,
)
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.bert import (
    HEAD_DROPS,
    bert_tokenizer,
    build_config,
    embedding_weights,
)
from geneb_jax.models.layers.bert_encoder import BertConfig, BertEncoder

__all__ = ["FAMILY"]

_LAYER = "encoder.layer.{layer}."
_CODE = ("bert_layers.", "configuration_bert.")


def _key_map(config: BertConfig) -> KeyMap:
    def part(parameter: str, tensor: str, index: int, of: int, *, bias: bool) -> list[Weight]:
        """One of ``of`` matrices of equal height, stacked along the outputs."""
        height = config.inner_size if of == 2 else config.hidden_size
        rows = (index * height, (index + 1) * height, of * height)
        transform = Transform(rows=rows, transpose=True)
        return dense_weights(parameter, tensor, bias=bias, transform=transform)

    attention, mlp = _LAYER + "attention.", _LAYER + "mlp."
    fused = attention + "self.Wqkv"
    return KeyMap(
        weights=(
            *embedding_weights(config),
            *part("layers.query", fused, 0, 3, bias=True),
            *part("layers.key", fused, 1, 3, bias=True),
            *part("layers.value", fused, 2, 3, bias=True),
            *dense_weights("layers.attention_output", attention + "output.dense", bias=True),
            *norm_weights("layers.attention_norm", attention + "output.LayerNorm", bias=True),
            *part("layers.gate", mlp + "gated_layers", 0, 2, bias=False),
            *part("layers.inner", mlp + "gated_layers", 1, 2, bias=False),
            *dense_weights("layers.outer", mlp + "wo", bias=True),
            *norm_weights("layers.feed_forward_norm", mlp + "layernorm", bias=True),
        ),
        drops=HEAD_DROPS,
        ranges={"layer": range(config.layer_count)},
        prefixes=("", "bert."),
    )


def _claims(config: ConfigJson) -> bool:
    return "alibi_starting_size" in config.values or any(
        name in config.remote_code for name in _CODE
    )


def _read_json(config: ConfigJson) -> BertConfig:
    # hidden_act is not read: the published code has the exact GELU built in.
    return build_config(config, positions="alibi", gated=True, activation="gelu")


FAMILY = Family(
    name="mosaic_bert",
    version=1,
    config=BertConfig,
    module=BertEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=bert_tokenizer,
)
