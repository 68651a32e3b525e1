"""LLaMA and Mistral decoders: METAGENE-1, GENERator, GenomeOcean, OmniNA, BioFM, and plain ones.

RMSNorm, split-half rotary positions, grouped queries, SwiGLU. None of the published models uses
Mistral's sliding window; a checkpoint that declares one is read up to the window, where it changes
nothing.

Reference: transformers 5.23 ``LlamaModel`` and ``MistralModel``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap, Weight, dense_weights, norm_weights
from geneb_jax.models.family import Family
from geneb_jax.models.layers.decoder import Decoder, DecoderConfig
from geneb_jax.models.layers.network import CLOSED_SCHEMA, require_sizes
from geneb_jax.tokenizers import FolderTokenizer, decoder_tokenizer

__all__ = ["FAMILY", "LlamaConfig"]

#: transformers' MistralConfig has it where config.json says nothing.
_MISTRAL_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """Sizes and switches.

    Attributes:
        head_width: Features of a head; BioFM's heads together are wider than ``hidden_size``.
        sliding_window: Tokens that attention reaches back, the token itself among them.
    """

    __pydantic_config__ = CLOSED_SCHEMA

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int
    kv_head_count: int
    head_width: int
    inner_size: int
    norm_eps: float
    rope_theta: float
    attention_bias: bool = False
    mlp_bias: bool = False
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        require_sizes(self)
        _ = self.decoder

    @property
    def decoder(self) -> DecoderConfig:
        """The network's config."""
        return DecoderConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            layer_count=self.layer_count,
            head_count=self.head_count,
            kv_head_count=self.kv_head_count,
            head_width=self.head_width,
            inner_size=self.inner_size,
            norm="rms",
            norm_eps=self.norm_eps,
            activation="silu",
            gated=True,
            rope_theta=self.rope_theta,
            sliding_window=self.sliding_window,
            attention_bias=self.attention_bias,
            feed_forward_bias=self.mlp_bias,
        )

    @property
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size

    @property
    def longest_tokens(self) -> int | None:
        """None: rotary positions have no end."""
        return None


def _key_map(config: LlamaConfig) -> KeyMap:
    layer = "layers.{layer}."
    attention, feed_forward = layer + "self_attn.", layer + "mlp."
    weights = [
        Weight("tokens.table", "embed_tokens.weight"),
        *norm_weights("layers.attention_norm", layer + "input_layernorm", bias=False),
        *norm_weights("layers.feed_forward_norm", layer + "post_attention_layernorm", bias=False),
        *norm_weights("final_norm", "norm", bias=False),
    ]
    for parameter, tensor in (
        ("query", "q_proj"),
        ("key", "k_proj"),
        ("value", "v_proj"),
        ("attention_output", "o_proj"),
    ):
        weights += dense_weights(
            f"layers.{parameter}", attention + tensor, bias=config.attention_bias
        )
    for parameter, tensor in (("gate", "gate_proj"), ("inner", "up_proj"), ("outer", "down_proj")):
        weights += dense_weights(f"layers.{parameter}", feed_forward + tensor, bias=config.mlp_bias)
    return KeyMap(
        weights=tuple(weights),
        drops=(
            Drop(
                "layers.[0-9]*.self_attn.rotary_emb.inv_freq", "rotary buffer, computed in float32"
            ),
            Drop("rotary_emb.inv_freq", "rotary buffer, computed in float32"),
        ),
        ranges={"layer": range(config.layer_count)},
        prefixes=("model.", "", "transformer."),  # the last in front of qa_outputs
    )


def _claims(config: ConfigJson) -> bool:
    return config.optional("model_type", str, "") in ("llama", "mistral")


def _read_json(config: ConfigJson) -> LlamaConfig:
    config.refuse("hidden_act", unless="silu")
    config.require_causal()
    heads = config.required("num_attention_heads", int)
    hidden_size = config.required("hidden_size", int)
    mistral = config.optional("model_type", str, "") == "mistral"
    unsaid = _MISTRAL_WINDOW if mistral and "sliding_window" not in config.values else None
    return LlamaConfig(
        vocab_size=config.required("vocab_size", int),
        hidden_size=hidden_size,
        layer_count=config.required("num_hidden_layers", int),
        head_count=heads,
        kv_head_count=config.size("num_key_value_heads", heads),
        head_width=config.size("head_dim", hidden_size // heads),
        inner_size=config.required("intermediate_size", int),
        norm_eps=config.optional("rms_norm_eps", float, 1e-6),
        rope_theta=config.rope_theta(),
        attention_bias=config.optional("attention_bias", bool, False),
        mlp_bias=config.optional("mlp_bias", bool, False),
        sliding_window=config.optional("sliding_window", int, unsaid) if mistral else None,
    )


def _folder_tokenizer(
    folder: Path, config_json: ConfigJson, config: LlamaConfig
) -> FolderTokenizer:
    declared = config_json.optional("max_position_embeddings", int, None)
    return decoder_tokenizer(
        folder, longest=declared, rows=config.vocab_size, config=config_json.values
    )


FAMILY = Family(
    name="llama",
    version=1,
    config=LlamaConfig,
    module=lambda config: Decoder(config.decoder),
    key_map=_key_map,
    claims=_claims,
    read_json=_read_json,
    folder_tokenizer=_folder_tokenizer,
)
