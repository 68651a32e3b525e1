"""HyenaDNA against multimolecule, recorded outputs, and itself under padding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from multimolecule import HyenaDnaConfig as TheirConfig
from multimolecule import HyenaDnaModel

from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder
from geneb_jax.models.families.hyenadna import HyenaDnaConfig, positional_features
from geneb_jax.models.pooling import pool
from tests.models.convolution_checkpoints import (
    CONFIGS,
    RECORDED,
    array,
    network,
    recorded_tensors,
    small_tensors,
    write_weights,
)
from tests.models.decoder_checkpoints import batch, mean
from tests.tolerance import Tolerance, relative_error

_LONGEST, _WIDTH, _LAYERS = 900, 12, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hyenadna")


@pytest.fixture(scope="module")
def pair(folder: Path) -> tuple[HyenaDnaModel, TokenEncoder]:
    """Their model on our tensors, and our encoder from a folder laid out as published."""
    tensors = small_tensors("hyenadna-medium-160k-seqlen-hf")
    features, time = positional_features(_LONGEST, 5)  # theirs computes them, ours reads them
    theirs = HyenaDnaModel(
        TheirConfig(
            vocab_size=16,
            hidden_size=_WIDTH,
            num_hidden_layers=_LAYERS,
            intermediate_size=20,
            max_position_embeddings=_LONGEST,
            filter_order=6,
            filter_emb_dim=5,
            short_filter_order=3,
            num_inner_mlps=2,
            layer_norm_eps=1e-5,
        ),
        add_pooling_layer=False,
    ).eval()
    state = {}
    for name, value in tensors.items():
        if name.endswith("pos_emb.z"):
            tensors[name] = np.ascontiguousarray(features.T[None])
        elif name.endswith("pos_emb.t"):
            tensors[name] = np.ascontiguousarray(time[None, :, None])
        elif name.endswith("deltas"):
            deltas = theirs.layers[0].mixer.filter_fn.modulation.deltas
            tensors[name] = deltas.numpy().copy()
        elif name.endswith("freq"):
            tensors[name] = value = value + 3
            for index in ("1", "3", "5"):
                short = name.removeprefix("hyena.backbone.").replace("1.freq", f"{index}.freq")
                state[short] = torch.from_numpy(value)
        elif name != "lm_head.weight":
            short = name.removeprefix("hyena.backbone.").replace("ln_f", "final_layer_norm")
            state[short] = torch.from_numpy(value)
    theirs.load_state_dict(state, strict=True)
    write_weights(tensors, folder / "model.safetensors")
    config = CONFIGS["hyenadna-medium-160k-seqlen-hf"] | {
        "model_type": "hyenadna",
        "d_model": _WIDTH,
        "n_layer": _LAYERS,
        "d_inner": 20,
        "max_seq_len": _LONGEST,
        "filter_order": 6,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    encoder = load_encoder(folder)
    assert isinstance(encoder, TokenEncoder)
    return theirs, encoder


def their_states(model: HyenaDnaModel, ids: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        output = model(torch.tensor(ids).long(), output_hidden_states=True)
    states = [state.numpy() for state in output.hidden_states]
    return [*states[:-2], states[-1]]  # theirs lists the last layer before and after the norm


def test_every_hidden_state_of_each_row_alone(
    pair: tuple[HyenaDnaModel, TokenEncoder], sequences: list[str], tolerance: Tolerance
) -> None:
    theirs, encoder = pair
    chosen = sequences[3:24:4]
    ids, mask = batch(encoder, chosen, extra_tokens=17)
    at_layer = jax.jit(encoder.hidden_states, static_argnames="layer")
    ours = [
        np.asarray(at_layer(encoder.params, ids, mask, layer=layer).values)
        for layer in range(_LAYERS + 1)
    ]
    for row in range(len(chosen)):
        length = int(mask[row].sum())
        for layer, expected in enumerate(their_states(theirs, ids[row : row + 1, :length])):
            error = relative_error(ours[layer][row, :length], expected[0])
            assert error <= tolerance("fft_hidden_state", "float32"), (row, layer)


def test_pooled_embeddings_of_real_sequences(
    pair: tuple[HyenaDnaModel, TokenEncoder], real_sequences: list[str], tolerance: Tolerance
) -> None:
    theirs, encoder = pair
    pooled = jax.jit(encoder.pooled)
    for first in range(0, 16, 8):
        ids, mask = batch(encoder, [text[:400] for text in real_sequences[first : first + 8]])
        expected = np.stack(
            [
                their_states(theirs, row[None, : here.sum()])[-1][0].mean(axis=0)
                for row, here in zip(ids, mask, strict=True)
            ]
        )
        error = relative_error(pooled(encoder.params, ids, mask), expected)
        assert error <= tolerance("fft_hidden_state", "float32")


def test_left_padding_of_the_original_does_change_the_rows(
    pair: tuple[HyenaDnaModel, TokenEncoder],
    tolerance: Tolerance,
) -> None:
    """Why ours pads on the right: the published extractor's row depends on its neighbours."""
    theirs, encoder = pair
    ids, mask = batch(encoder, ["ACGTACGTAC", "ACGTTGCATGCATGCATGCATTTTACG"])
    left = np.roll(ids[:1], ids.shape[1] - 10, axis=1)
    leaked = their_states(theirs, left)[-1][0, -10:].mean(axis=0)
    alone = their_states(theirs, ids[:1, :10])[-1][0].mean(axis=0)
    assert relative_error(leaked, alone) > 1e-3
    ours = np.asarray(encoder.pooled(encoder.params, ids, mask))[0]
    assert relative_error(ours, alone) <= tolerance("fft_hidden_state", "float32")


@pytest.mark.parametrize("case", ["hyenadna.normalized", "hyenadna.reference"])
def test_recorded_outputs(case: str, tmp_path: Path, tolerance: Tolerance) -> None:
    recorded: dict[str, Any] = RECORDED[case]
    sizes = recorded["topology"]
    config = HyenaDnaConfig(
        vocab_size=sizes["vocab"],
        embedding_rows=sizes["embedding_rows"],
        hidden_size=sizes["width"],
        layer_count=sizes["layers"],
        inner_size=sizes["inner"],
        max_tokens=sizes["maximum"],
        filter_width=sizes["filter"],
        positional_width=sizes["positional"],
        short_filter_width=sizes["short"],
        norm_eps=sizes["epsilon"],
    )
    run = network("hyenadna", config, recorded_tensors(case), tmp_path)
    ids = np.array([recorded["inputs"]["tokens"]], np.int32)
    # The published extractor hides its left padding from the mean only: the network sees it.
    states = run(ids, np.ones(ids.shape, bool)).values
    error = relative_error(states[0], array(recorded["expected"]["final_hidden"]))
    assert error <= tolerance("fft_hidden_state", "float32")
    mask = np.array([recorded["inputs"]["mask"]], bool)
    error = relative_error(pool("mean", states, mask)[0], array(recorded["expected"]["pooled"]))
    assert error <= tolerance("fft_hidden_state", "float32")


def test_a_row_does_not_depend_on_batch_or_padding(
    pair: tuple[HyenaDnaModel, TokenEncoder], sequences: list[str], tolerance: Tolerance
) -> None:
    _, encoder = pair
    pooled = jax.jit(encoder.pooled)
    chosen = [*sequences[:10:3], ""]
    ids, mask = batch(encoder, chosen)
    together = np.asarray(pooled(encoder.params, ids, mask))
    np.testing.assert_array_equal(pooled(encoder.params, np.where(mask, ids, 9), mask), together)
    assert not together[-1].any()
    for row, text in enumerate(chosen[:-1]):
        alone = pooled(encoder.params, *batch(encoder, [text]))
        assert relative_error(together[row], np.asarray(alone)[0]) <= tolerance(
            "batch_invariance", "float32"
        )
    wide = np.asarray(pooled(encoder.params, *batch(encoder, chosen, extra_tokens=1000)))
    assert relative_error(wide, together) <= tolerance("batch_invariance", "float32")


def test_longest_input(pair: tuple[HyenaDnaModel, TokenEncoder], tolerance: Tolerance) -> None:
    theirs, encoder = pair
    tokens = encoder.tokenize("ACGTTGCA" * 200)
    assert len(tokens.ids) == _LONGEST == encoder.longest_tokens
    assert tokens.dropped_bp == 1600 - _LONGEST
    ids, mask = batch(encoder, ["ACGTTGCA" * 200])
    ours = encoder.pooled(encoder.params, ids, mask)
    error = relative_error(ours, mean(their_states(theirs, ids)[-1], mask))
    assert error <= tolerance("fft_hidden_state", "float32")


def test_bfloat16_keeps_the_filters_in_float32(
    pair: tuple[HyenaDnaModel, TokenEncoder],
    folder: Path,
    sequences: list[str],
    tolerance: Tolerance,
) -> None:
    _, encoder = pair
    low = load_encoder(folder, LoadOptions(dtype="bfloat16"))
    assert isinstance(low, TokenEncoder)
    kept = {leaf.dtype.name for leaf in jax.tree.leaves(low.params["layers"]["long_filter"])}
    assert kept == {"float32"}
    ids, mask = batch(encoder, sequences[2:14:3])
    expected = np.asarray(encoder.pooled(encoder.params, ids, mask))
    error = relative_error(low.pooled(low.params, ids, mask), expected)
    assert error <= tolerance("pooled_embedding", "bfloat16")
