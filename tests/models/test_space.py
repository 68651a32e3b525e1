"""SPACE against recorded outputs, and its windows against one that holds the whole input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geneb_jax.models.families.space import SpaceConfig
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

_LENGTH = 2048


def test_recorded_outputs(tmp_path: Path, tolerance: Tolerance) -> None:
    case = RECORDED["sequence_cnn.space"]
    sizes = case["topology"]
    config = SpaceConfig(
        **sequence_cnn_sizes(sizes),
        species_num_experts=sizes["experts"],
        top_k=sizes["top_k"],
        gate_negative_slope=sizes["gate_slope"],
        species=sizes["species"],
    )
    run = network("space", config, recorded_tensors("sequence_cnn.space"), tmp_path)
    tokens = OneHotTokenizer(max_tokens=sizes["input_length"], crop="centre", u_is_t=True)
    ids = tokens.tokenize(case["inputs"]["sequence"]).ids[None]
    np.testing.assert_array_equal(np.eye(5)[ids[0], :4], np.array(case["inputs"]["one_hot"]))
    states = run(ids, np.ones(ids.shape, bool)).values
    check_recorded(
        case,
        states,
        hidden_state=tolerance("hidden_state", "float32"),
        pooled_embedding=tolerance("pooled_embedding", "float32"),
    )


def test_a_short_record_is_the_whole_input_with_padding_around_it(
    tmp_path: Path, sequences: list[str], tolerance: Tolerance
) -> None:
    run = network("space", small_config("space"), small_tensors("space"), tmp_path)
    tokens = OneHotTokenizer(max_tokens=_LENGTH, crop="centre", u_is_t=True)
    text = "".join(sequences)
    texts = [text[:300], text[9:140], "A", text[60:261], ""]
    ids = np.full((len(texts), 300), tokens.pad_id, np.int32)
    whole = np.full((len(texts), _LENGTH), tokens.pad_id, np.int32)
    mask = np.zeros(ids.shape, bool)
    for row, record in enumerate(texts):
        length, left = len(record), (_LENGTH - len(record)) // 2
        ids[row, :length] = tokens.tokenize(record).ids
        mask[row, :length] = True
        whole[row, left : left + length] = ids[row, :length]
    windows = run(ids, mask)
    everything = run(whole, np.ones(whole.shape, bool))
    error = relative_error(windows.values, np.asarray(everything.values))
    assert error <= tolerance("batch_invariance", "float32")
    assert windows.mask[:4].all()
    assert not windows.mask[4].any()
