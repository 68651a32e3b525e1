"""MutBERT: BERT with split-half rotary positions instead of learned ones.

The published model (ai4nucleome/mutBERT, ``modeling_mutbert.py``) takes a distribution over letters
at each position and multiplies it by the word embeddings. For a sequence without uncertainty that
is a one-hot vector, and the product a row of the table, which is what is looked up here. Padded
positions, all zero there, are masked and never seen.

Reference: recorded outputs of an independent implementation (tests/models).
"""

from __future__ import annotations

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import KeyMap
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.bert import bert_key_map, bert_tokenizer, build_config
from geneb_jax.models.layers.bert_encoder import BertConfig, BertEncoder

__all__ = ["FAMILY"]


def _key_map(config: BertConfig) -> KeyMap:
    return bert_key_map(config, prefix="bert.")


def _claims(config: ConfigJson) -> bool:
    return "modeling_mutbert." in config.remote_code or any(
        name.startswith("RoPEBert") for name in config.architectures
    )


def _read_json(config: ConfigJson) -> BertConfig:
    return build_config(config, positions="rotary", rope_theta=config.rope_theta())


FAMILY = Family(
    name="mutbert",
    version=1,
    config=BertConfig,
    module=BertEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=bert_tokenizer,
)
