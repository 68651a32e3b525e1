"""StripedHyena against recorded outputs with plain attention, and itself under padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geneb_jax.models.families.stripedhyena import StripedHyenaConfig
from tests.models.convolution_checkpoints import (
    RECORDED,
    check_recorded,
    network,
    recorded_tensors,
    small_config,
    small_tensors,
)
from tests.tolerance import Tolerance, relative_error


def test_recorded_outputs(tmp_path: Path, tolerance: Tolerance) -> None:
    case = RECORDED["evo1.f32"]
    sizes = case["topology"]
    config = StripedHyenaConfig(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["width"],
        layer_count=sizes["layers"],
        head_count=sizes["heads"],
        inner_size=sizes["inner"],
        state_width=sizes["state"],
        attention_layers=tuple(sizes["attention"]),
        short_filter_width=sizes["short"],
        norm_eps=sizes["epsilon"],
        rope_theta=sizes["rope_theta"],
        rope_scaling_factor=sizes["rope_scale"],
    )
    run = network("stripedhyena", config, recorded_tensors("evo1.f32"), tmp_path)
    ids = np.array([case["inputs"]["tokens"]], np.int32)
    states = run(ids, np.ones(ids.shape, bool)).values
    check_recorded(
        case,
        states,
        hidden_state=tolerance("fft_hidden_state", "float32"),
        pooled_embedding=tolerance("fft_hidden_state", "float32"),
    )


def test_a_row_does_not_depend_on_batch_or_padding(tmp_path: Path, tolerance: Tolerance) -> None:
    run = network(
        "stripedhyena", small_config("evo-1-131k-base"), small_tensors("evo-1-131k-base"), tmp_path
    )
    ids = np.random.default_rng(0).choice([65, 67, 71, 84], (3, 90)).astype(np.int32)
    mask = np.arange(90)[None] < np.array([[90], [31], [0]])
    together = np.asarray(run(ids, mask).values)
    other = np.asarray(run(np.where(mask, ids, 1), mask).values)
    np.testing.assert_array_equal(other[mask], together[mask])
    assert np.isfinite(together).all()
    alone = np.asarray(run(ids[1:2, :31], mask[1:2, :31]).values)
    assert relative_error(together[1, :31], alone[0]) <= tolerance("batch_invariance", "float32")
