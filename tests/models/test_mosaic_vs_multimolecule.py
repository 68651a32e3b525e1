"""MosaicBERT against multimolecule, whose names are mapped to the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.torch_peers import mosaic_names
from geneb_jax.models.layers.bert_encoder import BertConfig
from geneb_jax.models.pooling import pool
from tests.models.bert_checkpoints import hidden_states, masked_mean
from tests.tolerance import Tolerance, relative_error

#: Importing multimolecule takes many seconds.
pytestmark = pytest.mark.sweep

SIZES = {
    "vocab_size": 64,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 80,
    "layer_norm_eps": 1e-12,
}


def random_model(kind: str) -> Any:
    import multimolecule

    torch.manual_seed(0)
    config_class = getattr(multimolecule, f"{kind}Config")
    model = getattr(multimolecule, f"{kind}Model")(config_class(**SIZES)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("kind", ["DnaBert2", "DnaBertS"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_hidden_states_and_poolings(
    kind: str, dtype: str, tmp_path: Path, tolerance: Tolerance
) -> None:
    model = random_model(kind)
    generator = np.random.default_rng(1)
    lengths = np.array([70, 3, 41, 1])
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]
    ids = np.where(mask, generator.integers(0, 64, mask.shape), 3).astype(np.int32)
    with torch.no_grad():
        output = model(
            torch.tensor(ids).long(),
            attention_mask=torch.tensor(mask).long(),
            output_hidden_states=True,
        )
    theirs = [state.numpy() for state in output.hidden_states]
    config = BertConfig(
        vocab_size=64,
        hidden_size=48,
        layer_count=3,
        head_count=6,
        inner_size=80,
        positions="alibi",
        norm_eps=1e-12,
        gated=True,
    )
    tensors = {name: value.numpy() for name, value in mosaic_names(model.state_dict()).items()}
    ours = hidden_states("mosaic_bert", config, tensors, (ids, mask), tmp_path, dtype=dtype)
    assert len(ours) == len(theirs) == 4
    for layer, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        error = relative_error(mine[mask], other[mask])
        assert error <= tolerance("hidden_state", dtype), layer
    limit = tolerance("pooled_embedding", dtype)
    assert relative_error(pool("cls", ours[-1], mask), theirs[-1][:, 0]) <= limit
    assert relative_error(pool("mean", ours[-1], mask), masked_mean(theirs[-1], mask)) <= limit
