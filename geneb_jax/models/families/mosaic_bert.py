"""MosaicBERT: DNABERT-2 and DNABERT-S with ALiBi, Genomics-FM with learned positions.

Post-norm BERT with a gated feed-forward part; query, key and value are stored as one matrix. The
published code drops padded rows before the feed-forward part, which changes no token.

Genomics-FM's code (terry-r123/Genomics-FM) has both kinds of positions, and the benchmark's
extractor does not ask for ALiBi. Nothing in its config.json says so; the table of positions in its
weights does, which ALiBi has no use for, so a folder with that table runs with it.

References: multimolecule 0.2.2 ``DnaBert2Model`` and ``DnaBertSModel``; recorded outputs for
learned positions (tests/models).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from geneb_jax.models.checkpoints.checkpoint import TensorInfo
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
    bert_tokenizer,
    build_config,
    embedding_weights,
)
from geneb_jax.models.layers.bert_encoder import BertConfig, BertEncoder

__all__ = ["FAMILY"]

_TABLE = "embeddings.position_embeddings.weight"
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
        ranges={"layer": range(config.layer_count)},
        prefixes=("", "bert."),
    )


def _settle(config: BertConfig, tensors: Mapping[str, TensorInfo]) -> BertConfig:
    """Learned positions where there is a table of them, which only the code without ALiBi has."""
    stored = next((info for name, info in tensors.items() if name.endswith(_TABLE)), None)
    if stored is None or not stored.shape:
        return config
    return dataclasses.replace(config, positions="absolute", position_count=stored.shape[0])


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
    settle=_settle,
    folder_tokenizer=bert_tokenizer,
)
