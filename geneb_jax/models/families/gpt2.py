"""GPT-2 decoders: the two GPT2-Gene models, and plain transformers ``GPT2Model``.

LayerNorm, learned positions, tanh GELU, biases everywhere. The checkpoints fuse queries, keys and
values in one ``Conv1D``, whose weights lie [in, out].

Reference: transformers 5.23 ``GPT2Model``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geneb_jax.errors import CheckpointError
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
from geneb_jax.models.layers.decoder import Decoder, DecoderConfig
from geneb_jax.models.layers.network import CLOSED_SCHEMA
from geneb_jax.tokenizers import FolderTokenizer, decoder_tokenizer

__all__ = ["FAMILY", "Gpt2Config", "gpt2_key_map"]

_ACTIVATIONS = {
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu": "gelu",
    "relu": "relu",
}


@dataclass(frozen=True, slots=True)
class Gpt2Config:
    """Sizes and switches.

    Attributes:
        position_count: Rows of the position table; longer inputs are cut there.
        activation: Name in :data:`geneb_jax.models.layers.dense.ACTIVATIONS`.
        bias: Whether linear maps and norms have biases.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int
    inner_size: int
    position_count: int
    norm_eps: float
    activation: str = "gelu-tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        if self.hidden_size % self.head_count:
            raise ValueError(
                f"{self.hidden_size} features do not divide by {self.head_count} heads"
            )
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
            head_width=self.hidden_size // self.head_count,
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
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size

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
            Drop("lm_head.weight", "output head"),
            Drop("h.[0-9]*.attn.bias", "buffer of the causal mask"),
            Drop("h.[0-9]*.attn.masked_bias", "buffer of the causal mask"),
        ),
    )


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") == "gpt2"


def _from_config_json(config: ConfigJson) -> Gpt2Config:
    switches = {
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    }
    for key, usual in switches.items():
        if config.optional(key, bool, usual) != usual:
            raise CheckpointError(f"{key} = {not usual} is not supported", where=config.where)
    activation = config.optional("activation_function", str, "gelu_new")
    if activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"activation_function {activation!r} is not supported", where=config.where
        )
    size = config.required("n_embd", int)
    try:
        return Gpt2Config(
            vocab_size=config.required("vocab_size", int),
            hidden_size=size,
            layer_count=config.required("n_layer", int),
            head_count=config.required("n_head", int),
            inner_size=config.optional("n_inner", int, 4 * size),
            position_count=config.required("n_positions", int),
            norm_eps=config.optional("layer_norm_epsilon", float, 1e-5),
            activation=_ACTIVATIONS[activation],
        )
    except ValueError as error:
        raise CheckpointError(str(error), where=config.where) from error


def _folder_tokenizer(folder: Path, config_json: ConfigJson, config: Gpt2Config) -> FolderTokenizer:
    return decoder_tokenizer(folder, longest=config.longest_tokens, rows=config.vocab_size)


FAMILY = Family(
    name="gpt2",
    version=1,
    config=Gpt2Config,
    module=lambda config: Decoder(config.decoder),
    key_map=_key_map,
    claims=_claims,
    from_config_json=_from_config_json,
    folder_tokenizer=_folder_tokenizer,
)
