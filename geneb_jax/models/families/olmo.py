"""OLMo decoders of AI2's own layout: Omni-DNA, whose checkpoints are saved by ai2-olmo.

The decoder of :mod:`geneb_jax.models.layers.decoder` with queries, keys and values in one tensor,
the two halves of the gated feed-forward part in another (values first, gate second: the reverse of
what the name SwiGLU suggests), and norms that may hold no parameters at all.

Reference: ai2-olmo 0.6.0 for both norms; transformers 5.23 ``OlmoModel`` for the LayerNorm form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
from geneb_jax.models.key_maps.decoder import folder_tokenizer
from geneb_jax.models.layers.decoder import Decoder, DecoderConfig
from geneb_jax.models.layers.network import CLOSED_SCHEMA, TransformerConfig

__all__ = ["FAMILY", "OlmoConfig"]

#: Switches of ai2-olmo's config that other models use, and the value that leaves them off.
_OFF = {
    "alibi": False,
    "attention_layer_norm": False,
    "bias_for_layer_norm": False,
    "block_group_size": 1,
    "block_type": "sequential",
    "clip_qkv": None,
    "embedding_layer_norm": False,
    "include_bias": False,
    "multi_query_attention": False,
    "n_kv_heads": None,
    "norm_after": False,
    "scale_emb_init": False,
}


@dataclass(frozen=True, slots=True)
class OlmoConfig(TransformerConfig):
    """Sizes and switches.

    Attributes:
        fused_mlp_width: Rows of ``ff_proj``: both halves of the gated part.
        norm_type: LayerNorm without parameters, or RMSNorm with a scale.
        position_count: Tokens that the checkpoint was trained on; rotary positions have no end.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    fused_mlp_width: int
    norm_eps: float
    rope_theta: float
    norm_type: Literal["layernorm-no-affine", "rmsnorm-affine"]
    position_count: int | None = None

    def __post_init__(self) -> None:
        TransformerConfig.__post_init__(self)
        _ = self.decoder

    @property
    def decoder(self) -> DecoderConfig:
        """The network's config."""
        rms = self.norm_type == "rmsnorm-affine"
        return DecoderConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            layer_count=self.layer_count,
            head_count=self.head_count,
            kv_head_count=self.head_count,
            head_width=self.head_width,
            inner_size=self.fused_mlp_width // 2,
            norm="rms" if rms else "layer",
            norm_eps=self.norm_eps,
            norm_scale=rms,
            activation="silu",
            gated=True,
            rope_theta=self.rope_theta,
        )

    @property
    def longest_tokens(self) -> int | None:
        """``position_count``."""
        return self.position_count


def _key_map(config: OlmoConfig) -> KeyMap:
    block = "blocks.{layer}."
    size, inner = config.hidden_size, config.fused_mlp_width // 2

    def part(index: int, width: int, of: int) -> Transform:
        return Transform(rows=(index * width, (index + 1) * width, of), transpose=True)

    weights = [Weight("tokens.table", "wte.weight")]
    for index, name in enumerate(("query", "key", "value")):
        weights += dense_weights(
            f"layers.{name}",
            block + "att_proj",
            bias=False,
            transform=part(index, size, 3 * size),
        )
    for index, name in enumerate(("inner", "gate")):
        weights += dense_weights(
            f"layers.{name}",
            block + "ff_proj",
            bias=False,
            transform=part(index, inner, 2 * inner),
        )
    weights += dense_weights("layers.attention_output", block + "attn_out", bias=False)
    weights += dense_weights("layers.outer", block + "ff_out", bias=False)
    if config.norm_type == "rmsnorm-affine":
        weights += norm_weights("layers.attention_norm", block + "attn_norm", bias=False)
        weights += norm_weights("layers.feed_forward_norm", block + "ff_norm", bias=False)
        weights += norm_weights("final_norm", "ln_f", bias=False)
    return KeyMap(
        weights=tuple(weights),
        drops=(Drop("ff_out.weight", "output head, where it is not tied"),),
        ranges={"layer": range(config.layer_count)},
        prefixes=("model.transformer.", "transformer.", ""),
    )


def _claims(config: ConfigJson) -> bool:
    return "OLMoModelForCausalLM" in config.architectures or (
        "olmo" in config.optional("model_type", str, "") and "d_model" in config.values
    )


def _read_json(config: ConfigJson) -> OlmoConfig:
    for key, off in _OFF.items():
        config.refuse(key, unless=off)
    for key, needed in (("rope", True), ("activation_type", "swiglu")):
        config.required(key, type(needed))
        config.refuse(key, unless=needed)
    norms = {("default", False): "layernorm-no-affine", ("rms", True): "rmsnorm-affine"}
    norm = (
        config.optional("layer_norm_type", str, "default"),
        config.optional("layer_norm_with_affine", bool, True),
    )
    if norm not in norms:
        raise CheckpointError(
            f"layer_norm_type {norm[0]!r} with layer_norm_with_affine = {norm[1]} is not supported",
            where=config.where,
        )
    size = config.required("d_model", int)
    ratio = config.size("mlp_ratio", 4)
    return OlmoConfig(
        vocab_size=config.size("embedding_size", config.required("vocab_size", int)),
        hidden_size=size,
        layer_count=config.required("n_layers", int),
        head_count=config.required("n_heads", int),
        fused_mlp_width=config.size("mlp_hidden_size", ratio * size),
        norm_eps=config.optional("layer_norm_eps", float, 1e-5),
        rope_theta=config.optional("rope_theta", float, 10000.0),
        norm_type=norms[norm],  # type: ignore[arg-type]
        position_count=config.required("max_sequence_length", int),
    )


FAMILY = Family(
    name="olmo",
    version=1,
    config=OlmoConfig,
    module=lambda config: Decoder(config.decoder),
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=folder_tokenizer,
)
