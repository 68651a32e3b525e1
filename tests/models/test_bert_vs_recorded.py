"""The BERT-like families against recorded outputs of independent NumPy and of the original code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.family import family_for_folder
from geneb_jax.models.layers.bert_encoder import BertConfig
from geneb_jax.models.pooling import pool
from tests.models.bert_checkpoints import drawn_tensor, hidden_states, masked_mean
from tests.models.esm_checkpoints import FIXTURES
from tests.tolerance import Tolerance, relative_error

RECORDED = json.loads((FIXTURES / "bert_recorded.json").read_text(encoding="utf-8"))["cases"]
ORIGINAL = np.load(FIXTURES / "bert_original_code.npz")
ORIGINAL_CASES = json.loads(str(ORIGINAL["meta"]))["cases"]

#: Case to (family, switches that its topology spells differently).
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert.standard": ("bert", {"positions": "absolute"}),
    "bert.gena-final": ("bert", {"positions": "absolute", "norm": "pre", "final_norm": True}),
    "bert.gena-no-final": ("bert", {"positions": "absolute", "norm": "pre"}),
    "bert.mosaic": ("mosaic_bert", {"positions": "alibi", "gated": True}),
    "bert.mutbert": ("mutbert", {"positions": "rotary"}),
    "custom_encoder.genomics-fm": ("mosaic_bert", {"positions": "absolute", "gated": True}),
    "custom_encoder.lucaone": (
        "lucaone",
        {"positions": "rotary-stored", "norm": "pre", "final_norm": True, "embedding_norm": False},
    ),
    "roformer.deepgene": ("roformer", {"positions": "rotary-interleaved"}),
}


def array(stored: dict[str, Any]) -> np.ndarray:
    return np.array(stored["data"], np.float32).reshape(stored["shape"])


def recorded_config(case: dict[str, Any], switches: dict[str, Any]) -> BertConfig:
    sizes = case["topology"]
    absolute = switches["positions"] == "absolute"
    return BertConfig(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["width"],
        layer_count=sizes["layers"],
        head_count=sizes["heads"],
        inner_size=sizes["inner"],
        norm_eps=sizes["epsilon"],
        position_count=sizes.get("max_seqlen", sizes.get("max_positions")) if absolute else None,
        **switches,
    )


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_independent_implementation(
    case: dict[str, Any], tmp_path: Path, tolerance: Tolerance
) -> None:
    family, switches = FORMS[case["id"]]
    config = recorded_config(case, switches)
    tensors = {name: array(value) for name, value in case["weights"].items()}
    ids = np.array([case["inputs"]["tokens"]], np.int32)
    mask = np.array([case["inputs"]["mask"]], bool)
    states = hidden_states(family, config, tensors, (ids, mask), tmp_path, layers=[1, -1])
    assert config.layer_count == 2
    for layer, ours in zip((1, 2), states, strict=True):
        theirs = array(case["expected"][f"capture_{layer}"])[mask[0]]
        assert relative_error(ours[mask], theirs) <= tolerance("hidden_state", "float32"), layer
    by_row = case["topology"].get("pooling") == "cls-token" or case["id"].endswith("genomics-fm")
    pooled = np.asarray(pool("cls" if by_row else "mean", states[-1], mask))[0]
    error = relative_error(pooled, array(case["expected"]["pooled"]))
    assert error <= tolerance("pooled_embedding", "float32")


def original_case(name: str) -> tuple[str, BertConfig, dict[str, np.ndarray]]:
    """Family and config as ours read its config.json, and the tensors that it ran with."""
    case = ORIGINAL_CASES[name]
    config_json = ConfigJson(case["config"], name)
    family = family_for_folder(config_json)
    if name == "genomics-fm":  # its config.json does not say that positions are learned
        sizes = {"vocab_size": 20, "hidden_size": 24, "layer_count": 3, "head_count": 3}
        switches = {"positions": "absolute", "position_count": 48, "gated": True}
        config = family.read_config(
            {**sizes, "inner_size": 40, "norm_eps": 1e-12, **switches}, where="test"
        )
    else:
        config = family.from_config_json(config_json)
    tensors = {name: drawn_tensor(name, shape) for name, shape in case["shapes"].items()}
    return family.name, config, tensors


@pytest.mark.parametrize("name", ORIGINAL_CASES)
@pytest.mark.fault("F57")
def test_original_code(name: str, tmp_path: Path, tolerance: Tolerance) -> None:
    family, config, tensors = original_case(name)
    ids, mask = ORIGINAL[f"{name}/ids"], ORIGINAL[f"{name}/mask"]
    assert mask.sum(1).min() < mask.shape[1]  # there is padding
    states = hidden_states(family, config, tensors, (ids, mask), tmp_path)
    assert len(states) == 4
    for layer, ours in enumerate(states):
        theirs = ORIGINAL[f"{name}/hidden_{layer}"]
        error = relative_error(ours[mask], theirs[mask])
        assert error <= tolerance("hidden_state", "float32"), layer
    last = ORIGINAL[f"{name}/hidden_3"]
    error = relative_error(pool("mean", states[-1], mask), masked_mean(last, mask))
    assert error <= tolerance("pooled_embedding", "float32")
    error = relative_error(pool("cls", states[-1], mask), last[:, 0])
    assert error <= tolerance("pooled_embedding", "float32")


@pytest.mark.parametrize(
    "name",
    [
        "gena-large",
        "dnabert",
        *(
            pytest.param(name, marks=pytest.mark.sweep)
            for name in ("gena-base", "mutbert", "deepgene", "genomics-fm")
        ),
    ],
)
def test_original_code_in_bfloat16(name: str, tmp_path: Path, tolerance: Tolerance) -> None:
    family, config, tensors = original_case(name)
    batch = ORIGINAL[f"{name}/ids"], ORIGINAL[f"{name}/mask"]
    (ours,) = hidden_states(family, config, tensors, batch, tmp_path, dtype="bfloat16", layers=[-1])
    theirs, mask = ORIGINAL[f"{name}/hidden_3"], batch[1]
    assert relative_error(ours[mask], theirs[mask]) <= tolerance("hidden_state", "bfloat16")
    error = relative_error(pool("mean", ours, mask), masked_mean(theirs, mask))
    assert error <= tolerance("pooled_embedding", "bfloat16")
