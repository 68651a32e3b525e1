"""LucaOne against the package lucaone, whose files are the hub's; its tokenizer as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from lucaone import LucaGPLMConfig, LucaGPLMModel, LucaGPLMTokenizer

from geneb_jax.errors import CheckpointError
from geneb_jax.models import load_encoder
from geneb_jax.models.native_encoder import NativeEncoder
from tests.models.bert_checkpoints import masked_mean, quickly_compiled
from tests.models.esm_checkpoints import padded, torch_hidden_states
from tests.tolerance import Tolerance, relative_error


def random_folder(folder: Path, **settings: Any) -> LucaGPLMModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    model = LucaGPLMModel(LucaGPLMConfig(**sizes | settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def test_every_hidden_state_and_the_pooled_embedding(
    sequences: list[str], tmp_path: Path, tolerance: Tolerance
) -> None:
    model = random_folder(tmp_path)
    encoder = load_encoder(tmp_path)
    assert isinstance(encoder, NativeEncoder)
    ids, mask = padded(encoder, sequences[::8])
    states = torch_hidden_states(model, ids, mask)

    @jax.jit
    def run(params: Any) -> list[jax.Array]:
        return [encoder.hidden_states(params, ids, mask, layer=layer).values for layer in range(4)]

    for layer, ours in enumerate(quickly_compiled(run, encoder.params)(encoder.params)):
        error = relative_error(np.asarray(ours)[mask], states[layer][mask])
        assert error <= tolerance("hidden_state", "float32"), layer
    batch = encoder.params, ids, mask
    pooled = quickly_compiled(jax.jit(encoder.pooled), *batch)(*batch)
    error = relative_error(pooled, masked_mean(states[-1], mask))
    assert error <= tolerance("pooled_embedding", "float32")


@pytest.mark.parametrize("limit", [16, 4096])
def test_tokens(sequences: list[str], tmp_path: Path, limit: int) -> None:
    random_folder(tmp_path, num_hidden_layers=1, max_position_embeddings=limit)
    encoder = load_encoder(tmp_path)
    assert isinstance(encoder, NativeEncoder)
    theirs = LucaGPLMTokenizer(vocab_type="gene_prot")
    for sequence in [*sequences, "[MASK]ACGU", "AC GT\n"]:
        expected = theirs.encode(sequence, seq_type="gene", truncation=True, max_length=limit)
        assert encoder.tokenize(sequence).ids.tolist() == expected, sequence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"no_position_embeddings": False}, "no_position_embeddings"),
        ({"embed_scale": 2.0}, "embed_scale"),
    ],
)
def test_forms_that_are_not_built_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    random_folder(tmp_path, num_hidden_layers=1, **change)
    with pytest.raises(CheckpointError, match=words):
        load_encoder(tmp_path)
