"""Decoders that transformers does not have, against recorded hidden states.

From the original code (DNA-GPT's repository, ai2-olmo) on weights that are drawn here again, and
from an independent NumPy implementation on weights stored beside its outputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.family import find_family
from tests.models.decoder_checkpoints import FIXTURES, mean
from tests.tolerance import Tolerance, relative_error


def cases(name: str) -> dict[str, dict[str, Any]]:
    content = json.loads((FIXTURES / name).read_text(encoding="utf-8"))
    return {case["id"]: case for case in content["cases"]}


ORIGINAL = cases("decoder_original_code.json")
INDEPENDENT = cases("decoder_independent.json")


def drawn(shapes: Mapping[str, list[int]], seed: int) -> dict[str, np.ndarray]:
    """The rule of the recording: names in order, 0.25 x normal, scales of norms around one."""
    generator = np.random.RandomState(seed)
    tensors = {}
    for name in sorted(shapes):
        values = 0.25 * generator.standard_normal(shapes[name])
        if len(shapes[name]) == 1:
            values = values + 1
        tensors[name] = values.astype(np.float32)
    return tensors


def states(
    family_name: str,
    config: dict[str, Any],
    tensors: dict[str, np.ndarray],
    ids: np.ndarray,
    mask: np.ndarray,
    folder: Path,
) -> list[np.ndarray]:
    family = find_family(family_name)
    settings = family.read_config(config, where="recorded")
    module = family.module(settings)
    save_file(tensors, folder / "model.safetensors")
    checkpoint = open_checkpoint([folder / "model.safetensors"])
    params = fit_checkpoint(module, checkpoint, family.key_map(settings)).load(dtype="float32")
    network = nnx.merge(nnx.graphdef(module), params)

    @jax.jit
    def compute(ids: Any, mask: Any) -> list[Any]:
        layers = range(settings.layer_count + 1)
        return [network(ids, mask, layer=layer).values for layer in layers]

    return [np.asarray(state) for state in compute(ids.astype(np.int32), mask)]


@pytest.mark.parametrize("name", ORIGINAL)
def test_original_code(name: str, tmp_path: Path, tolerance: Tolerance) -> None:
    case = ORIGINAL[name]
    ids = np.array(case["tokens"])
    mask = np.ones(ids.shape, bool)
    family = name.split(".")[0]
    ours = states(family, case["config"], drawn(case["shapes"], case["seed"]), ids, mask, tmp_path)
    theirs = np.array(case["hidden"], np.float32)
    assert len(ours) == len(theirs) == 4
    for layer, (state, recorded) in enumerate(zip(ours, theirs, strict=True)):
        assert relative_error(state, recorded) <= tolerance("hidden_state", "float32"), layer


def independent_config(case: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    sizes = case["topology"]
    common = {
        "vocab_size": sizes["vocab"],
        "hidden_size": sizes["width"],
        "layer_count": sizes["layers"],
        "head_count": sizes["heads"],
        "norm_eps": sizes["epsilon"],
    }
    name = case["id"]
    if name.startswith("decoder"):
        return "llama", common | {
            "kv_head_count": sizes["kv_heads"],
            "head_width": sizes["head_dim"],
            "inner_size": sizes["inner"],
            "rope_theta": sizes["rope_base"],
        }
    if name.startswith("olmo"):
        norms = {"layernorm": "layernorm-no-affine", "rmsnorm": "rmsnorm-affine"}
        return "olmo", common | {
            "fused_mlp_width": sizes["fused_mlp"],
            "rope_theta": sizes["rope_base"],
            "norm_type": norms[sizes["norm"]],
        }
    return {"gpt.gpt2": "gpt2", "gpt.dna": "dna_gpt"}[name], common | {
        "inner_size": sizes["inner"],
        "position_count": sizes["max_positions"],
        "bias": sizes["bias"],
    }


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_implementation(name: str, tmp_path: Path, tolerance: Tolerance) -> None:
    case = INDEPENDENT[name]
    family, config = independent_config(case)
    tensors = {
        tensor: np.array(weight["data"], np.float32).reshape(weight["shape"])
        for tensor, weight in case["weights"].items()
    }
    ids = np.array([case["inputs"]["tokens"]])
    mask = np.array([case["inputs"]["mask"]], bool)
    ours = states(family, config, tensors, ids, mask, tmp_path)
    expected = {
        key: np.array(value["data"], np.float32).reshape(value["shape"])
        for key, value in case["expected"].items()
    }
    limit = tolerance("hidden_state", "float32")
    for layer in range(config["layer_count"] + 1):
        tokens = mask[0]  # what a padded position holds is nobody's business
        error = relative_error(ours[layer][0][tokens], expected[f"capture_{layer}"][tokens])
        assert error <= limit, layer
    if "pooled" in expected:
        pooled = mean(ours[-1], mask)[0]
        assert relative_error(pooled, expected["pooled"]) <= tolerance(
            "pooled_embedding", "float32"
        )
