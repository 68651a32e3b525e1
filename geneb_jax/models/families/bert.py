"""BERT with learned positions: GROVER, GENA-LM, and plain transformers ``BertModel``.

GENA-LM (AIRI-Institute/GENA_LM, ``modeling_bert.py``) moves the norms in front of the sub-layers
(``pre_layer_norm``). Its base models have no final norm: the last hidden state is the bare residual
stream. The norm on the embeddings stays in both forms.

References: transformers 5.23 ``BertModel``; recorded outputs for the pre-norm forms (tests/models).
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
    """BERT by name, with no code of its own but GENA-LM's; others call themselves ``bert`` too."""
    kind = config.optional("model_type", str, None)
    unnamed = kind is None and any(name.startswith("Bert") for name in config.architectures)
    own_code = config.optional("auto_map", dict, {}).values()
    known_code = all("modeling_bert." in str(name) for name in own_code)
    rotary = any(name.startswith("RoPEBert") for name in config.architectures)
    return (
        (kind == "bert" or unnamed)
        and known_code
        and not rotary
        and "alibi_starting_size" not in config.values
    )


def _read_json(config: ConfigJson) -> BertConfig:
    config.refuse("sparse_attention")
    config.refuse("sparse_config_cls")
    config.refuse("position_embedding_type", unless="absolute")
    pre = config.optional("pre_layer_norm", bool, False)
    return build_config(
        config,
        positions="absolute",
        position_count=config.required("max_position_embeddings", int),
        norm="pre" if pre else "post",
        final_norm=config.optional("last_layer_norm", bool, pre),
    )


FAMILY = Family(
    name="bert",
    version=1,
    config=BertConfig,
    module=BertEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=bert_tokenizer,
)
