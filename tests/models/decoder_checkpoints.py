"""Checkpoint folders of causal decoders, written by transformers or with the published names."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralModel,
    OlmoConfig,
    OlmoModel,
    PreTrainedModel,
)

from geneb_jax.models import TokenEncoder, registry
from geneb_jax.tokenizers import shipped_file

FIXTURES = Path(__file__).parent / "fixtures"

_SMALL = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
_GPT2 = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 256}

#: Name to (model class, config, tokenizer of which model): the switches of the published models.
FORMS: dict[str, tuple[type[PreTrainedModel], Any, str]] = {
    "metagene": (LlamaForCausalLM, LlamaConfig(**_SMALL, vocab_size=1024), "METAGENE-1"),
    "generator": (
        LlamaForCausalLM,
        LlamaConfig(**_SMALL, vocab_size=4128, num_key_value_heads=2, rope_theta=5e5),
        "GENERator-eukaryote-3b-base",
    ),
    "genomeocean": (
        MistralModel,
        MistralConfig(
            **_SMALL,
            vocab_size=4096,
            num_key_value_heads=1,
            head_dim=20,
            sliding_window=None,
            rope_theta=1e6,
        ),
        "Omni-DNA-1B",
    ),
    "biofm": (
        MistralModel,
        MistralConfig(
            **_SMALL | {"hidden_size": 20},
            vocab_size=512,
            num_key_value_heads=2,
            head_dim=32,
            sliding_window=None,
            rope_theta=1e5,
        ),
        "BioFM-265M",
    ),
    "biases": (
        LlamaForCausalLM,
        LlamaConfig(**_SMALL, vocab_size=1024, attention_bias=True, mlp_bias=True),
        "METAGENE-1",
    ),
    "omni-dna": (
        OlmoModel,
        OlmoConfig(**_SMALL | {"max_position_embeddings": 250}, vocab_size=4096),
        "Omni-DNA-1B",
    ),
    "gpt2": (GPT2LMHeadModel, GPT2Config(**_GPT2, vocab_size=1024), "METAGENE-1"),
}


def torch_model(form: str, *, spread: float = 0.1) -> PreTrainedModel:
    """A random model whose biases and norms are not the neutral ones of initialisation."""
    kind, config, _ = FORMS[form]
    generator = torch.Generator().manual_seed(len(form))
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = spread * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(drawn + (1.0 if parameter.dim() == 1 and parameter.mean() == 1 else 0))
    return model


def save(form: str, model: PreTrainedModel, folder: Path, **options: Any) -> Path:
    """Write a model folder as published: weights, config.json and the tokenizer's files."""
    model.save_pretrained(folder, **options)
    if isinstance(model, OlmoModel):
        _as_omni_dna(model, folder)
    write_tokenizer(FORMS[form][2], folder)
    return folder


def write_tokenizer(model_id: str, folder: Path) -> None:
    """The tokenizer files of a published model, as far as its kind is told by them."""
    spec = registry()[model_id]
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if spec.tokenizer.kind == "generator-kmer":
        settings = {"auto_map": {"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]}, "k": 6}
    elif spec.tokenizer.kind == "characters":
        settings = {"char_ords": [ord(letter) for letter in "DNATGC"], "model_max_length": 6144}
    else:
        source = shipped_file(spec.tokenizer.files[0].sha256)
        assert source is not None
        shutil.copy(source, folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _as_omni_dna(model: OlmoModel, folder: Path) -> None:
    """Rewrite transformers' OLMo in the names, fused tensors and config of ai2-olmo."""
    from safetensors.numpy import save_file

    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    fused = {"model.transformer.wte.weight": tensors["embed_tokens.weight"]}
    for layer in range(model.config.num_hidden_layers):
        old, new = f"layers.{layer}.", f"model.transformer.blocks.{layer}."
        attention = [tensors[f"{old}self_attn.{part}_proj.weight"] for part in "qkv"]
        # ai2-olmo: values first, gate second.
        inner = [tensors[f"{old}mlp.{part}_proj.weight"] for part in ("up", "gate")]
        fused |= {
            f"{new}att_proj.weight": np.concatenate(attention),
            f"{new}attn_out.weight": tensors[f"{old}self_attn.o_proj.weight"],
            f"{new}ff_proj.weight": np.concatenate(inner),
            f"{new}ff_out.weight": tensors[f"{old}mlp.down_proj.weight"],
        }
    save_file(fused, folder / "model.safetensors")
    config = published_config("Omni-DNA-1B") | {
        "d_model": model.config.hidden_size,
        "n_layers": model.config.num_hidden_layers,
        "n_heads": model.config.num_attention_heads,
        "mlp_hidden_size": 2 * model.config.intermediate_size,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def published_config(model_id: str) -> dict[str, Any]:
    """The known values of a published config.json."""
    content = (FIXTURES / "decoder_configs.json").read_text(encoding="utf-8")
    return json.loads(content)["models"][model_id]


def published_shapes(model_id: str) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Tensor name to shape of a published checkpoint, and the names that are left out."""
    content = gzip.decompress((FIXTURES / "published_tensors.json.gz").read_bytes())
    published = json.loads(content)["models"][model_id]
    shapes = {name: tuple(shape) for name, (shape, _) in published["tensors"].items()}
    return shapes, set(published["dropped"])


def batch(
    encoder: TokenEncoder, sequences: Sequence[str], *, extra_tokens: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids int32 and mask bool ``[row, token]`` of one batch, padded on the right."""
    rows = [encoder.tokenize(sequence).ids for sequence in sequences]
    ids = np.full((len(rows), max(map(len, rows)) + extra_tokens), encoder.pad_id, np.int32)
    mask = np.zeros(ids.shape, bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = True
    return ids, mask


def torch_states(model: PreTrainedModel, ids: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Hidden states of transformers: embeddings, each layer, the last after the final norm."""
    with torch.no_grad():
        output = model(
            input_ids=torch.tensor(ids).long(),
            attention_mask=torch.tensor(mask).long(),
            output_hidden_states=True,
        )
    return [state.numpy() for state in output.hidden_states]


def mean(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the tokens of each row."""
    weights = mask[:, :, None].astype(np.float32)
    return (states * weights).sum(1) / weights.sum(1)
