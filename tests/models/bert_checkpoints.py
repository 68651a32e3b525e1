"""Checkpoints of the BERT-like families: by recorded rules, or with the published names."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from flax import nnx
from safetensors.numpy import save_file

from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.bert_encoder import BertConfig
from geneb_jax.models.registry import registry
from geneb_jax.tokenizers import shipped_file
from tests.models.esm_checkpoints import FIXTURES, published_tensors

GROVER_TOKENIZER = FIXTURES.parents[1] / "tokenizers" / "fixtures" / "grover.tokenizer.json.gz"

#: The models of the five families.
MODELS = (
    "GROVER",
    "gena-lm-bert-base",
    "gena-lm-bert-base-t2t-multi",
    "gena-lm-bert-large-t2t",
    "dnabert2-no-flashattention",
    "DNABERT-S",
    "genomics-fm",
    "MutBERT",
    "deepgene",
    "LucaOne-default-step36M",
)
#: Published without a config.json of the hub's kind, or with one that does not say enough.
BY_ID_ONLY = ("genomics-fm", "deepgene")

_MOSAIC_CODE = {
    "AutoConfig": "configuration_bert.BertConfig",
    "AutoModel": "bert_layers.BertModel",
    "AutoModelForMaskedLM": "bert_layers.BertForMaskedLM",
    "AutoModelForSequenceClassification": "bert_layers.BertForSequenceClassification",
}
_GENA = {
    "model_type": "bert",
    "pre_layer_norm": True,
    "position_embedding_type": "absolute",
    "pad_token_id": 3,
    "hidden_act": "gelu",
}
#: What the published config.json files say besides sizes. GENA-LM, MutBERT and DNABERT-S word for
#: word; GROVER, DNABERT-2 and LucaOne by the keys that tcztzy/evo.cpp requires of them.
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "GROVER": {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "pad_token_id": 0,
        "layer_norm_eps": 1e-12,
    },
    "gena-lm-bert-base": _GENA
    | {
        "architectures": ["BertForPretraining"],
        "auto_map": {"AutoModel": "modeling_bert.BertForPreTraining"},
        "layer_norm_eps": 1e-12,
        "last_layer_norm": False,
    },
    "gena-lm-bert-base-t2t-multi": _GENA
    | {
        "architectures": ["BertForMaskedLM"],
        "auto_map": {"AutoModel": "modeling_bert.BertForMaskedLM"},
        "layer_norm_eps": 1e-12,
        "last_layer_norm": False,
    },
    "gena-lm-bert-large-t2t": _GENA
    | {
        "architectures": ["BertForMaskedLM"],
        "auto_map": {"AutoModel": "modeling_bert.BertForMaskedLM"},
        "layer_norm_eps": 1e-5,
    },
    "dnabert2-no-flashattention": {
        "alibi_starting_size": 512,
        "auto_map": _MOSAIC_CODE,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
    },
    "DNABERT-S": {
        "alibi_starting_size": 512,
        "architectures": ["BertModel"],
        "auto_map": _MOSAIC_CODE,
        "model_type": "bert",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
    },
    "MutBERT": {
        "auto_map": {
            "AutoConfig": "modeling_mutbert.RoPEBertConfig",
            "AutoModel": "modeling_mutbert.RoPEBertModel",
            "AutoModelForMaskedLM": "modeling_mutbert.RoPEBertForMaskedLM",
        },
        "model_type": "bert",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pooler_type": "mean",
        "rope_scaling": None,
        "rope_theta": 10000.0,
    },
    "LucaOne-default-step36M": {
        "auto_map": {
            "AutoConfig": "configuration_lucaone.LucaGPLMConfig",
            "AutoModel": "modeling_lucaone.LucaGPLMModel",
        },
        "model_type": "lucaone",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "no_position_embeddings": True,
        "no_token_type_embeddings": False,
        "use_embed_layer_norm": False,
        "use_last_layer_norm": True,
        "embed_scale": 1.0,
        "token_dropout": False,
    },
}
_LAYERS = 2


def small_config(model_id: str) -> BertConfig:
    """The model's config with the sizes that may shrink made small."""
    spec = registry()[model_id]
    lucaone = spec.family == "lucaone"
    sizes = {"hidden_size": 16, "head_count": 2, "layer_count": _LAYERS}
    sizes["inner_size"] = 64 if lucaone else 40
    return find_family(spec.family).read_config({**spec.config, **sizes}, where=model_id)


def small_shapes(model_id: str) -> dict[str, tuple[list[int], str]]:
    """Name to (shape, dtype) of the published tensors, at the sizes of :func:`small_config`."""
    small, true = small_config(model_id), registry()[model_id].config
    width, inner = true["hidden_size"], true["inner_size"]
    scaled = {
        width: small.hidden_size,
        3 * width: 3 * small.hidden_size,
        inner: small.inner_size,
        2 * inner: 2 * small.inner_size,
    }
    half = {width // true["head_count"] // 2: small.head_width // 2}
    shapes = {}
    for name, (shape, dtype) in published_tensors(model_id)["tensors"].items():
        layer = next((int(part) for part in name.split(".") if part.isdigit()), 0)
        if layer < _LAYERS:
            sizes = half if name.endswith("inv_freq") else scaled
            shapes[name] = ([sizes.get(size, size) for size in shape], dtype)
    return shapes


def small_tensors(model_id: str) -> dict[str, np.ndarray]:
    """Values for :func:`small_shapes`; integers where the published tensor holds integers."""
    return {
        name: drawn_tensor(name, shape) if dtype == "F32" else np.zeros(shape, np.int64)
        for name, (shape, dtype) in small_shapes(model_id).items()
    }


def used_names(model_id: str) -> list[str]:
    """Names of :func:`small_shapes` that an embedding needs."""
    dropped = set(published_tensors(model_id)["dropped"])
    return [name for name in small_shapes(model_id) if name not in dropped]


def write_published_folder(model_id: str, folder: Path) -> Path:
    """A folder laid out as the published repository: config, weights, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    small, spec = small_config(model_id), registry()[model_id]
    if model_id in CONFIGS:
        sizes = {
            "vocab_size": small.vocab_size,
            "hidden_size": small.hidden_size,
            "num_hidden_layers": small.layer_count,
            "num_attention_heads": small.head_count,
            "type_vocab_size": small.token_type_count,
            "max_position_embeddings": spec.context.limit,
            "ffn_dim" if spec.family == "lucaone" else "intermediate_size": small.inner_size,
        }
        (folder / "config.json").write_text(json.dumps(dict(CONFIGS[model_id]) | sizes))
    tensors = small_tensors(model_id)
    names = [file.name for file in spec.weight_files()]
    parts = [list(tensors)[index :: len(names)] for index in range(len(names))]
    for name, part in zip(names, parts, strict=True):
        held = {key: tensors[key] for key in part}
        if name.endswith(".bin"):
            torch.save({key: torch.from_numpy(value) for key, value in held.items()}, folder / name)
        else:
            save_file(held, folder / name)
    if len(names) > 1:
        weight_map = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    write_tokenizer(model_id, folder)
    return folder


def write_tokenizer(model_id: str, folder: Path) -> None:
    """The published tokenizer.json, where the model has one, and the class that reads it."""
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    for file in registry()[model_id].tokenizer.files:
        packed = shipped_file(file.sha256)
        content = (
            gzip.decompress(GROVER_TOKENIZER.read_bytes())
            if packed is None
            else packed.read_bytes()
        )
        (folder / file.name).write_bytes(content)


def drawn_tensor(name: str, shape: Any) -> np.ndarray:
    """The rule of the recorded outputs: decided by the name alone."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape) * 0.15
    if len(shape) == 1 and name.endswith("weight"):
        values = values + 1
    return values.astype(np.float32)


def hidden_states(
    family_name: str,
    config: BertConfig,
    tensors: Mapping[str, np.ndarray],
    batch: tuple[np.ndarray, np.ndarray],
    folder: Path,
    *,
    dtype: str = "float32",
    layers: Sequence[int] | None = None,
) -> list[np.ndarray]:
    """Hidden states of a network filled from these tensors, as float32; all unless named."""
    family = find_family(family_name)
    file = folder / "model.safetensors"
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, file)
    module = family.module(config)
    fitted = fit_checkpoint(module, open_checkpoint([file]), family.key_map(config))
    network = nnx.merge(nnx.graphdef(module), fitted.load(dtype=dtype))

    @jax.jit
    def run(ids: jax.Array, mask: jax.Array) -> list[jax.Array]:
        chosen = range(config.layer_count + 1) if layers is None else layers
        return [network(ids, mask, layer=layer).values for layer in chosen]

    return [np.asarray(state, np.float32) for state in quickly_compiled(run, *batch)(*batch)]


def quickly_compiled(function: Any, *arguments: Any) -> Any:
    """A jitted function without LLVM's passes: compiling takes a third, the arithmetic is XLA's."""
    options = {"xla_backend_optimization_level": 0}
    return function.lower(*arguments).compile(compiler_options=options)


def masked_mean(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over tokens, float32 ``[row, dim]``."""
    weights = mask[:, :, None].astype(np.float32)
    return (states * weights).sum(1) / weights.sum(1)
