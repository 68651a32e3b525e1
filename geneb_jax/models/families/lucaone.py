"""LucaOne: a pre-norm encoder for genes and proteins, used here for genes.

Rotary positions whose frequencies are read from the checkpoint, as its code does; a token type
table (row 0 is the gene); no norm on the embeddings; a final norm.
Two things that its config.json says and its code (PyPI lucaone 1.1.1, the same bytes as the hub's)
does not do: norms use 1e-5, PyTorch's default, not ``layer_norm_eps``; the feed-forward part is
four times as wide as the model whatever ``ffn_dim`` says.

Reference: lucaone 1.1.1 ``LucaGPLMModel``, and recorded outputs (tests/models).
"""

from __future__ import annotations

from pathlib import Path

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import KeyMap, Weight, dense_weights, norm_weights
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.bert import build_config
from geneb_jax.models.layers.bert_encoder import BertConfig, BertEncoder
from geneb_jax.tokenizers import CharacterTokenizer, FolderTokenizer

__all__ = ["FAMILY"]

_NORM_EPS = 1e-5


def _key_map(config: BertConfig) -> KeyMap:
    layer = "encoder.layers.{layer}."
    weights = [
        Weight("tokens.table", "embeddings.embed_tokens.weight"),
        Weight("layers.frequencies", layer + "self_attn.rot_emb.inv_freq"),
    ]
    if config.token_type_count:
        weights.append(Weight("token_types.table", "embeddings.embed_type.weight"))
    if config.embedding_norm:
        weights += norm_weights("embedding_norm", "embeddings.embed_layer_norm", bias=True)
    for parameter, tensor in (
        ("query", "self_attn.q_proj"),
        ("key", "self_attn.k_proj"),
        ("value", "self_attn.v_proj"),
        ("attention_output", "self_attn.out_proj"),
        ("inner", "fc1"),
        ("outer", "fc2"),
    ):
        weights += dense_weights(f"layers.{parameter}", layer + tensor, bias=True)
    weights += norm_weights("layers.attention_norm", layer + "pre_layer_norm", bias=True)
    weights += norm_weights("layers.feed_forward_norm", layer + "post_layer_norm", bias=True)
    if config.final_norm:
        weights += norm_weights("final_norm", "encoder.last_layer_norm", bias=True)
    return KeyMap(
        weights=tuple(weights),
        ranges={"layer": range(config.layer_count)},
        prefixes=("lucaone.", ""),
    )


def _claims(config: ConfigJson) -> bool:
    return (
        config.optional("model_type", str, "") == "lucaone"
        or "modeling_lucaone." in config.remote_code
    )


def _read_json(config: ConfigJson) -> BertConfig:
    config.refuse("no_position_embeddings", unless=True)
    config.refuse("embed_scale", unless=1.0)
    no_types = config.optional("no_token_type_embeddings", bool, False)
    switches = {"token_type_count": 0} if no_types else {}
    return build_config(
        config,
        positions="rotary-stored",
        norm="pre",
        norm_eps=_NORM_EPS,
        inner_size=4 * config.required("hidden_size", int),
        activation="gelu",
        embedding_norm=config.optional("use_embed_layer_norm", bool, False),
        final_norm=config.optional("use_last_layer_norm", bool, True),
        **switches,
    )


def _folder_tokenizer(folder: Path, config_json: ConfigJson, config: BertConfig) -> FolderTokenizer:
    declared = config_json.optional("max_position_embeddings", int, None)
    tokenizer = CharacterTokenizer("lucaone", max_tokens=declared)
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"genes need {tokenizer.vocab_size} embedding rows, the model has {config.vocab_size}",
            where=folder,
        )
    return FolderTokenizer(tokenizer)


FAMILY = Family(
    name="lucaone",
    version=1,
    config=BertConfig,
    module=BertEncoder,
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
