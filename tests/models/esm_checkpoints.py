"""Checkpoint folders of the ESM family, written by transformers or with the published names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EsmConfig, EsmModel

from geneb_jax.models import TokenEncoder

FIXTURES = Path(__file__).parent / "fixtures"

#: Two position types, both norms, token dropout, an odd head width as in Agro-NT.
FORMS: dict[str, dict[str, Any]] = {
    "absolute": {
        "vocab_size": 4105,
        "position_embedding_type": "absolute",
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "token_dropout": True,
    },
    "absolute-odd-heads": {
        "vocab_size": 4105,
        "position_embedding_type": "absolute",
        "hidden_size": 150,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "emb_layer_norm_before": True,
    },
    "rotary": {
        "vocab_size": 4107,
        "position_embedding_type": "rotary",
        "hidden_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "intermediate_size": 128,
        "token_dropout": True,
    },
}


#: A small NT-v2 that transformers can build (it has no SwiGLU), and the same in our words.
SMALL_ESM = FORMS["rotary"] | {
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
}
SMALL_NT_V2 = {
    "vocab_size": 4107,
    "hidden_size": 32,
    "layer_count": 2,
    "head_count": 2,
    "inner_size": 128,
    "feed_forward": "gelu",
    "feed_forward_bias": True,
    "token_dropout": True,
}


def esm_model(**settings: Any) -> EsmModel:
    """A random EsmModel whose biases and norms are not the neutral ones of initialisation."""
    torch.manual_seed(0)
    config = EsmConfig(
        **{"max_position_embeddings": 130, "pad_token_id": 1, "mask_token_id": 2} | settings
    )
    model = EsmModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def save(model: EsmModel, folder: Path, *, kind: str = "safetensors") -> Path:
    """Write a model folder: ``safetensors``, ``sharded``, ``bin`` or ``sharded-bin``."""
    if kind in ("safetensors", "sharded"):
        model.save_pretrained(folder, max_shard_size="200KB" if kind == "sharded" else "5GB")
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    tensors = model.state_dict()
    if kind == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
        return folder
    names = list(tensors)
    halves = {"a": names[: len(names) // 2], "b": names[len(names) // 2 :]}
    weight_map = {}
    for half, held in halves.items():
        file = f"pytorch_model-{half}.bin"
        torch.save({name: tensors[name] for name in held}, folder / file)
        weight_map |= dict.fromkeys(held, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def padded(
    encoder: TokenEncoder, sequences: Sequence[str], *, multiple: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids int32 and mask bool ``[row, token]`` of one batch, padded on the right."""
    rows = [encoder.tokenize(sequence).ids for sequence in sequences]
    length = -(-max(map(len, rows)) // multiple) * multiple
    ids = np.full((len(rows), length), encoder.pad_id, np.int32)
    mask = np.zeros((len(rows), length), bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = True
    return ids, mask


def torch_hidden_states(model: EsmModel, ids: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Hidden states of transformers: embeddings, each layer, the last after the final norm."""
    with torch.no_grad():
        output = model(
            torch.tensor(ids).long(), torch.tensor(mask).long(), output_hidden_states=True
        )
    return [state.numpy() for state in output.hidden_states]


def torch_pooled(model: EsmModel, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the non-padding tokens of the last hidden state."""
    last = torch_hidden_states(model, ids, mask)[-1]
    weights = mask[:, :, None].astype(np.float32)
    return (last * weights).sum(1) / weights.sum(1)


@cache
def published_tensors(model_id: str) -> dict[str, Any]:
    """Names, shapes and dtypes of a published checkpoint, and the names that are not used."""
    content = (FIXTURES / "published_tensors.json.gz").read_bytes()
    return json.loads(gzip.decompress(content))["models"][model_id]


def random_tensors(shapes: Mapping[str, Sequence[int]], *, seed: int = 0) -> dict[str, np.ndarray]:
    """Random float32 tensors of these shapes."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0.0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
