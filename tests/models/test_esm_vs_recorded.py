"""The ESM family, SwiGLU form included, against recorded outputs of an independent one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from geneb_jax.models import load_encoder
from tests.models.esm_checkpoints import FIXTURES
from tests.tolerance import Tolerance, relative_error

CASES = {
    case["id"]: case
    for case in json.loads((FIXTURES / "esm_recorded.json").read_text(encoding="utf-8"))["cases"]
}


def array(entry: dict[str, Any]) -> np.ndarray:
    return np.array(entry["data"], np.float32).reshape(entry["shape"])


def write_folder(case: dict[str, Any], folder: Path) -> None:
    """The case as a published folder: config.json as transformers and NT v2 write it."""
    sizes = case["topology"]
    rotary = sizes["position"] == "rotary"
    config = {
        "model_type": "esm",
        "architectures": ["EsmForMaskedLM"],
        "vocab_size": sizes["vocab"],
        "hidden_size": sizes["width"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["inner"],
        "max_position_embeddings": sizes["max_positions"],
        "layer_norm_eps": sizes["epsilon"],
        "position_embedding_type": sizes["position"],
        "token_dropout": sizes["token_dropout"],
        "emb_layer_norm_before": False,
        "pad_token_id": sizes["pad_id"],
        "mask_token_id": sizes["mask_id"],
    }
    if rotary:
        config["add_bias_fnn"] = False
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(["<unk>", "<pad>", "<mask>", "<cls>", *"ACGT"]))
    tensors = {name: array(entry) for name, entry in case["weights"].items()}
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_hidden_states_and_pooling(name: str, tmp_path: Path, tolerance: Tolerance) -> None:
    case = CASES[name]
    write_folder(case, tmp_path / "model")
    encoder = load_encoder(tmp_path / "model")
    ids = np.array([case["inputs"]["tokens"]], np.int32)
    mask = np.array([case["inputs"]["mask"]], bool)
    expected = {key: array(entry) for key, entry in case["expected"].items()}

    @jax.jit
    def everything(params: Any) -> dict[str, jax.Array]:
        states = {
            f"capture_{layer}": encoder.hidden_states(params, ids, mask, layer=layer).values[0]
            for layer in range(case["topology"]["layers"] + 1)
        }
        states["final_hidden"] = encoder.hidden_states(params, ids, mask).values[0]
        return states | {"pooled": encoder.pooled(params, ids, mask)[0]}

    for key, ours in everything(encoder.params).items():
        kept = slice(None) if key == "pooled" else mask[0]
        error = relative_error(ours[kept], expected[key][kept])
        assert error <= tolerance("hidden_state", "float32"), key
