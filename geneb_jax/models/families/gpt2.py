"""GPT-2 decoders: the two GPT2-Gene models, and plain transformers ``GPT2Model``.

LayerNorm, learned positions, tanh GELU, biases everywhere. The checkpoints fuse queries, keys and
values in one ``Conv1D``, whose weights lie [in, out].

Reference: transformers 5.23 ``GPT2Model``.
"""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import (
    Drop,
    KeyMap,
    Transform,
    Weight,
    dense_weights,
    norm_weights,
)
from geneb_jax.models.family import Family
from geneb_jax.models.key_maps.decoder import folder_tokenizer
from geneb_jax.models.layers.decoder import Decoder, DecoderConfig
from geneb_jax.models.layers.network import CLOSED_SCHEMA, TransformerConfig

__all__ = ["FAMILY", "Gpt2Config", "gpt2_key_map"]

_ACTIVATIONS = {
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu": "gelu",
    "relu": "relu",
}


@dataclass(frozen=True, slots=True)
class Gpt2Config(TransformerConfig):
    """Sizes and switches.

    Attributes:
        position_count: Rows of the position table; longer inputs are cut there.
        activation: Name in :data:`geneb_jax.models.layers.dense.ACTIVATIONS`.
        bias: Whether linear maps and norms have biases.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    inner_size: int
    position_count: int
    norm_eps: float
    activation: str = "gelu-tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        TransformerConfig.__post_init__(self)
        _ = self.decoder

    @property
    def decoder(self) -> DecoderConfig:
        """The network's config."""
        return DecoderConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            layer_count=self.layer_count,
            head_count=self.head_count,
            kv_head_count=self.head_count,
            head_width=self.head_width,
            inner_size=self.inner_size,
            norm="layer",
            norm_eps=self.norm_eps,
            norm_bias=self.bias,
            position_count=self.position_count,
            activation=self.activation,
            gated=False,
            attention_bias=self.bias,
            feed_forward_bias=self.bias,
        )

    @property
    def longest_tokens(self) -> int | None:
        """Rows of the position table."""
        return self.position_count


def gpt2_key_map(config: Gpt2Config, *, transposed: bool, drops: tuple[Drop, ...]) -> KeyMap:
    """The names of GPT-2.

    Args:
        config: Sizes and switches.
        transposed: Whether the maps are torch's ``Linear`` [out, in], not ``Conv1D`` [in, out].
        drops: Tensors to leave out.
    """
    layer, bias, size = "h.{layer}.", config.bias, config.hidden_size

    def fused(index: int) -> Transform:
        part = (index * size, (index + 1) * size, 3 * size)
        return Transform(rows=part, transpose=True) if transposed else Transform(columns=part)

    weights = [
        Weight("tokens.table", "wte.weight"),
        Weight("positions.table", "wpe.weight"),
        *norm_weights("layers.attention_norm", layer + "ln_1", bias=bias),
        *norm_weights("layers.feed_forward_norm", layer + "ln_2", bias=bias),
        *norm_weights("final_norm", "ln_f", bias=bias),
    ]
    for index, name in enumerate(("query", "key", "value")):
        weights += dense_weights(
            f"layers.{name}", layer + "attn.c_attn", bias=bias, transform=fused(index)
        )
    for name, tensor in (
        ("attention_output", "attn.c_proj"),
        ("inner", "mlp.c_fc"),
        ("outer", "mlp.c_proj"),
    ):
        weights += dense_weights(
            f"layers.{name}",
            layer + tensor,
            bias=bias,
            transform=Transform(transpose=transposed),
        )
    return KeyMap(
        weights=tuple(weights),
        drops=drops,
        ranges={"layer": range(config.layer_count)},
        prefixes=("transformer.", ""),
    )


def _key_map(config: Gpt2Config) -> KeyMap:
    return gpt2_key_map(
        config,
        transposed=False,
        drops=(
            Drop("h.[0-9]*.attn.bias", "buffer of the causal mask"),
            Drop("h.[0-9]*.attn.masked_bias", "buffer of the causal mask"),
        ),
    )


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "gpt2"


#: transformers takes these names for its own ones, so they must say the same.
_OTHER_NAMES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}


def _read_json(config: ConfigJson) -> Gpt2Config:
    config.refuse("scale_attn_weights", unless=True)
    config.refuse("scale_attn_by_inverse_layer_idx")
    config.refuse("add_cross_attention")
    config.require_causal()
    for usual, own in _OTHER_NAMES.items():
        config.refuse(usual, unless=config.required(own, int))
    size = config.required("n_embd", int)
    return Gpt2Config(
        vocab_size=config.required("vocab_size", int),
        hidden_size=size,
        layer_count=config.required("n_layer", int),
        head_count=config.required("n_head", int),
        inner_size=config.size("n_inner", 4 * size),
        position_count=config.required("n_positions", int),
        norm_eps=config.optional("layer_norm_epsilon", float, 1e-5),
        activation=config.choice("activation_function", _ACTIVATIONS, "gelu_new"),
    )


FAMILY = Family(
    name="gpt2",
    version=1,
    config=Gpt2Config,
    module=lambda config: Decoder(config.decoder),
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=folder_tokenizer,
)
