"""What the BERT-like families have in common on disk: tensor names, heads, config.json keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap, Weight, dense_weights, norm_weights
from geneb_jax.models.layers.bert_encoder import BertConfig
from geneb_jax.tokenizers import FolderTokenizer, file_tokenizer

__all__ = [
    "bert_key_map",
    "bert_tokenizer",
    "build_config",
    "embedding_weights",
]

_LAYER = "encoder.layer.{layer}."

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}


def bert_key_map(
    config: BertConfig, *, prefix: str, drops: tuple[Drop, ...] = (), more: tuple[Weight, ...] = ()
) -> KeyMap:
    """The names of transformers' ``BertModel``, and GENA-LM's for norms that come first.

    Args:
        config: Sizes and switches.
        prefix: What stands in front of all names in files that hold heads as well.
        drops: What the family leaves out besides heads.
        more: Weights that only this family has.
    """
    if config.norm == "pre":
        norms = (_LAYER + "pre_attention_ln", _LAYER + "post_attention_ln")
    else:
        norms = (_LAYER + "attention.output.LayerNorm", _LAYER + "output.LayerNorm")
    final = norm_weights("final_norm", "encoder.last_layer_ln", bias=True)
    return KeyMap(
        weights=(
            *embedding_weights(config),
            *dense_weights("layers.query", _LAYER + "attention.self.query", bias=True),
            *dense_weights("layers.key", _LAYER + "attention.self.key", bias=True),
            *dense_weights("layers.value", _LAYER + "attention.self.value", bias=True),
            *dense_weights("layers.attention_output", _LAYER + "attention.output.dense", bias=True),
            *norm_weights("layers.attention_norm", norms[0], bias=True),
            *dense_weights("layers.inner", _LAYER + "intermediate.dense", bias=True),
            *dense_weights("layers.outer", _LAYER + "output.dense", bias=True),
            *norm_weights("layers.feed_forward_norm", norms[1], bias=True),
            *(final if config.final_norm else ()),
            *more,
        ),
        drops=drops,
        ranges={"layer": range(config.layer_count)},
        prefixes=("", prefix),
    )


def embedding_weights(config: BertConfig) -> list[Weight]:
    """Words, token types, learned positions where there are any, and the norm behind them."""
    weights = [Weight("tokens.table", "embeddings.word_embeddings.weight")]
    if config.token_type_count:
        weights.append(Weight("token_types.table", "embeddings.token_type_embeddings.weight"))
    if config.positions == "absolute":
        weights.append(Weight("positions.table", "embeddings.position_embeddings.weight"))
    return weights + norm_weights("embedding_norm", "embeddings.LayerNorm", bias=True)


def build_config(config: ConfigJson, **switches: Any) -> BertConfig:
    """Sizes as transformers' BERT-like configs name them; ``switches`` come on top or instead.

    Decoders and cross attention are refused.

    Raises:
        CheckpointError: if a size is missing, or the activation unknown.
        ValueError: for sizes that do not go together.
    """
    config.refuse("is_decoder")
    config.refuse("add_cross_attention")
    read: dict[str, Callable[[], Any]] = {
        "vocab_size": lambda: config.required("vocab_size", int),
        "hidden_size": lambda: config.required("hidden_size", int),
        "layer_count": lambda: config.required("num_hidden_layers", int),
        "head_count": lambda: config.required("num_attention_heads", int),
        "inner_size": lambda: config.required("intermediate_size", int),
        "token_type_count": lambda: config.optional("type_vocab_size", int, 2),
        "norm_eps": lambda: config.optional("layer_norm_eps", float, 1e-12),
        "activation": lambda: config.choice("hidden_act", _ACTIVATIONS, "gelu"),
    }
    sizes = {name: value() for name, value in read.items() if name not in switches}
    return BertConfig(**sizes, **switches)


def bert_tokenizer(folder: Path, config_json: ConfigJson, config: BertConfig) -> FolderTokenizer:
    """The folder's tokenizer, limited to the positions that the config declares."""
    declared = config_json.optional("max_position_embeddings", int, None)
    return file_tokenizer(
        folder,
        longest=config.longest_tokens or declared,
        rows=config.vocab_size,
        config=config_json.values,
    )
