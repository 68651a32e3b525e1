"""Enformer against enformer-pytorch and recorded outputs: windows, edges, crop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from enformer_pytorch.config_enformer import EnformerConfig as TheirConfig
from enformer_pytorch.modeling_enformer import Enformer, get_positional_embed

from geneb_jax.models.families.enformer import EnformerConfig
from geneb_jax.models.layers.sequence_cnn import relative_features
from geneb_jax.tokenizers import OneHotTokenizer
from tests.models.convolution_checkpoints import (
    RECORDED,
    check_recorded,
    network,
    recorded_tensors,
    sequence_cnn_sizes,
    small_config,
    small_tensors,
)
from tests.tolerance import Tolerance, relative_error

Pair = tuple[Enformer, Callable[..., Any]]

_MODEL_ID = "enformer-official-rough"
_LENGTH = 2560


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Their model and ours on the same tensors, by the published names."""
    tensors = small_tensors(_MODEL_ID)
    tied = {name for name in tensors if name.startswith("_trunk.")}
    theirs = Enformer(
        TheirConfig(dim=24, depth=2, heads=2, target_length=6, attn_dim_key=4, dim_divisible_by=4)
    ).eval()
    state = {
        name: torch.from_numpy(value)
        for name, value in tensors.items()
        if name not in tied and not name.startswith("_heads")
    }
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith(("_heads.", "_trunk.")) for name in missing)
    ours = {name: value for name, value in tensors.items() if name not in tied}
    folder = tmp_path_factory.mktemp("enformer")
    return theirs, network("enformer", small_config(_MODEL_ID), ours, folder)


def one_hot(ids: np.ndarray, length: int) -> torch.Tensor:
    channels = np.zeros((length, 4), np.float32)
    places = np.flatnonzero(ids < 4)
    channels[places, ids[places]] = 1
    return torch.from_numpy(channels)


def their_states(model: Enformer, inputs: torch.Tensor) -> list[np.ndarray]:
    """The tower's bins, bins after each layer but the last, and the embedding's bins."""
    states: list[np.ndarray] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, args: states.append(args[0].numpy()))
        for block in model.transformer
    ]
    with torch.no_grad():
        last = model(inputs, return_only_embeddings=True).numpy()
    for hook in hooks:
        hook.remove()
    return [*states, last]


def padded(texts: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    tokenizer = OneHotTokenizer(max_tokens=_LENGTH)
    ids = np.full((len(texts), length), tokenizer.pad_id, np.int32)
    mask = np.zeros(ids.shape, bool)
    for row, text in enumerate(texts):
        tokens = tokenizer.tokenize(text).ids
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = True
    return ids, mask


@pytest.mark.parametrize("length", [pytest.param(300, marks=pytest.mark.sweep), _LENGTH, 3000])
def test_hidden_states_of_the_whole_input(
    pair: Pair, sequences: list[str], length: int, tolerance: Tolerance
) -> None:
    """Ours runs the tower on windows; theirs on all of the input, padding included."""
    theirs, ours = pair
    text = "".join(sequences)
    texts = [text[:length], text[50 : 50 + length // 3], "ACGTN", text[7 : length - 130]]
    ids, mask = padded(texts, length)
    expected = their_states(
        theirs, torch.stack([one_hot(row, _LENGTH) for row in ids[:, :_LENGTH]])
    )
    layers = [-1] if length not in (300, _LENGTH) else [0, 1, -1]
    for layer in layers:
        states = ours(ids, mask, layer)
        assert states.mask.all()
        error = relative_error(states.values, expected[layer])
        assert error <= tolerance("hidden_state", "float32"), layer


def test_padding_of_the_batch_is_of_no_account(pair: Pair, tolerance: Tolerance) -> None:
    _, ours = pair
    ids, mask = padded(["ACGTTGCA" * 9, "GGA", ""], 300)
    states = ours(ids, mask)
    np.testing.assert_array_equal(ours(np.where(mask, ids, 2), mask).values, states.values)
    assert not states.mask[2].any()
    assert np.isfinite(states.values).all()
    wide = ours(*padded(["ACGTTGCA" * 9, "GGA", ""], 1500))
    assert relative_error(wide.values, np.asarray(states.values)) <= tolerance(
        "batch_invariance", "float32"
    )


def test_recorded_outputs(tmp_path: Path, tolerance: Tolerance) -> None:
    case = RECORDED["sequence_cnn.enformer"]
    sizes = case["topology"]
    config = EnformerConfig(
        **sequence_cnn_sizes(sizes),
    )
    run = network("enformer", config, recorded_tensors("sequence_cnn.enformer"), tmp_path)
    tokens = OneHotTokenizer(max_tokens=sizes["input_length"])
    ids = tokens.tokenize(case["inputs"]["sequence"]).ids[None]
    np.testing.assert_array_equal(one_hot(ids[0], 8), np.array(case["inputs"]["one_hot"]))
    states = run(ids, np.ones(ids.shape, bool)).values
    check_recorded(
        case,
        states,
        hidden_state=tolerance("hidden_state", "float32"),
        pooled_embedding=tolerance("pooled_embedding", "float32"),
    )


@pytest.mark.parametrize(("length", "width"), [(20, 12), (1025, 192), (1536, 192)])
def test_relative_features(length: int, width: int, tolerance: Tolerance) -> None:
    theirs = get_positional_embed(length, width, "cpu", use_tf_gamma=False).numpy()
    ours = relative_features(length, width)
    assert ours.dtype == np.float32
    gamma = np.arange(width) % (width // 2) >= width // 3
    assert relative_error(ours[:, ~gamma], theirs[:, ~gamma]) <= tolerance(
        "relative_features", "float32"
    )
    error = relative_error(ours[:, gamma], theirs[:, gamma])
    assert error <= tolerance("relative_features_gamma", "float32")
