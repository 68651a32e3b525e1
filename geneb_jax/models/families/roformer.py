"""RoFormer: BERT with interleaved rotary positions on queries and keys. DeepGene's first stage.

DeepGene (wds-seu/DeepGene) names positions itself and gives padding the last one; padded keys are
masked, so tokens see the same angles as in transformers' ``RoFormerModel``.

Reference: transformers 5.23 ``RoFormerModel``, and recorded outputs (tests/models).
"""

from __future__ import annotations

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.bert import bert_key_map, bert_tokenizer, build_config
from geneb_jax.models.layers.bert_encoder import BertConfig, BertEncoder

__all__ = ["FAMILY"]

_SINUSOIDS = Drop("encoder.embed_positions.weight", "table of sinusoids, computed here")


def _key_map(config: BertConfig) -> KeyMap:
    return bert_key_map(config, prefix="roformer.", drops=(_SINUSOIDS,))


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
    folder_tokenizer=bert_tokenizer,
)
