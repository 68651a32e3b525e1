"""RoFormer: BERT with interleaved rotary positions on queries and keys. DeepGene's first stage.

DeepGene (wds-seu/DeepGene) names positions itself and gives padding the last one; padded keys are
masked, so tokens see the same angles as in transformers' ``RoFormerModel``.

Reference: transformers 5.23 ``RoFormerModel``, and recorded outputs (tests/models).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from geneb_jax.models.checkpoints.checkpoint import TensorInfo
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap, Weight
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.bert import bert_key_map, bert_tokenizer, build_config
from geneb_jax.models.layers.bert_encoder import BertConfig, BertEncoder

__all__ = ["FAMILY"]

_TABLE = "encoder.embed_positions.weight"


def _key_map(config: BertConfig) -> KeyMap:
    if config.positions == "rotary-table":
        return bert_key_map(config, prefix="roformer.", more=(Weight("sinusoids", _TABLE),))
    computed = Drop(_TABLE, "table of sinusoids, computed here")
    return bert_key_map(config, prefix="roformer.", drops=(computed,))


def _settle(config: BertConfig, tensors: Mapping[str, TensorInfo]) -> BertConfig:
    """A table of sinusoids that a file stores is read, as transformers reads it.

    It is a weight of ``RoFormerModel`` like any other; in a file of two-byte floats it is rounded.
    """
    stored = next((info for name, info in tensors.items() if name.endswith(_TABLE)), None)
    if stored is None or not stored.shape:
        return config
    return dataclasses.replace(config, positions="rotary-table", position_count=stored.shape[0])


def _claims(config: ConfigJson) -> bool:
    kind = config.optional("model_type", str, None)
    unnamed = kind is None and any(name.startswith("RoFormer") for name in config.architectures)
    return kind == "roformer" or unnamed


def _read_json(config: ConfigJson) -> BertConfig:
    config.refuse("rotary_value")
    # Keys of RoFormer's second version, which DeepGene's config.json has at their usual values.
    config.refuse("norm_type", unless="layer_norm")
    config.refuse("use_bias", unless=True)
    config.refuse("embedding_size", unless=config.required("hidden_size", int))
    return build_config(config, positions="rotary-interleaved")


FAMILY = Family(
    name="roformer",
    version=1,
    config=BertConfig,
    module=BertEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    settle=_settle,
    folder_tokenizer=bert_tokenizer,
)
