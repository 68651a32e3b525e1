"""Selective scan, SSD and causal convolution against plain forms and code we did not write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from mambapy.mamba import MambaBlock, MambaConfig

from geneb_jax_kernels.causal_depthwise_convolution import (
    causal_depthwise_convolution,
    causal_depthwise_convolution_reference,
)
from geneb_jax_kernels.selective_scan import (
    selective_scan,
    selective_scan_associative,
    selective_scan_reference,
)
from geneb_jax_kernels.ssd import ssd, ssd_reference
from tests.tolerance import Tolerance, relative_error

Arrays = dict[str, np.ndarray]


def selective_inputs(
    rows: int, length: int, channels: int, states: int, *, seed: int = 0
) -> Arrays:
    """Steps from 1e-4 to 10: states that hardly change and states that vanish at once."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    step = np.exp(generator.uniform(-9, 2.3, (rows, length, channels))).astype(np.float32)
    return {
        "x": normal(rows, length, channels),
        "time_step": step,
        "rate": -np.exp(normal(channels, states)),
        "input_map": normal(rows, length, states),
        "output_map": normal(rows, length, states),
        "skip": normal(channels),
    }


def ssd_inputs(rows: int, length: int, heads: int, groups: int, *, seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    width, states = 4, 6

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    return {
        "x": normal(rows, length, heads, width),
        "time_step": np.exp(generator.uniform(-9, 2.3, (rows, length, heads))).astype(np.float32),
        "rate": -np.exp(normal(heads)),
        "input_map": normal(rows, length, groups, states),
        "output_map": normal(rows, length, groups, states),
        "skip": normal(heads),
    }


def scattered_mask(rows: int, length: int, *, count: int) -> np.ndarray:
    """``count`` tokens a row, in other places in each."""
    generator = np.random.default_rng(1)
    mask = np.zeros((rows, length), bool)
    for row in mask:
        row[generator.choice(length, count, replace=False)] = True
    return mask


def in_float64(form: Callable[..., Any], inputs: Arrays) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(
            form(**{name: jnp.asarray(part, jnp.float64) for name, part in inputs.items()})
        )


def flipped(inputs: Arrays) -> Arrays:
    """Along the tokens, where there are any."""
    return {
        name: part if part.ndim < 3 else np.ascontiguousarray(part[:, ::-1])
        for name, part in inputs.items()
    }


@pytest.mark.parametrize("form", ["sequential", "chunked"])
@pytest.mark.parametrize("length", [1, 9, 75])
def test_selective_scan_is_the_recurrence(form: str, length: int, tolerance: Tolerance) -> None:
    inputs = selective_inputs(3, length, 5, 4)
    expected = in_float64(selective_scan_reference, inputs)
    limit = tolerance("scan", "float32")
    assert relative_error(selective_scan(**inputs, form=form), expected) <= limit
    backwards = selective_scan(**flipped(inputs), form=form, reverse=True)
    assert relative_error(backwards[:, ::-1], expected) <= limit


def test_selective_scan_chooses_a_form_and_refuses_others(
    tolerance: Tolerance, unchecked_annotations: None
) -> None:
    inputs = selective_inputs(2, 11, 3, 2)
    expected = in_float64(selective_scan_reference, inputs)
    assert relative_error(selective_scan(**inputs), expected) <= tolerance("scan", "float32")
    associative = selective_scan_associative(**jax.tree.map(jnp.asarray, inputs))
    assert relative_error(associative, expected) <= tolerance("scan", "float32")
    with pytest.raises(ValueError, match="unknown form 'parallel'"):
        selective_scan(**inputs, form="parallel")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["sequential", "chunked"])
@pytest.mark.parametrize("reverse", [False, True])
def test_masked_tokens_are_as_if_they_were_not_there(
    form: str, reverse: bool, tolerance: Tolerance
) -> None:
    inputs = selective_inputs(2, 40, 3, 4)
    mask = scattered_mask(2, 40, count=24)
    whole = np.asarray(selective_scan(**inputs, mask=mask, reverse=reverse, form=form))
    assert not whole[~mask].any()
    for row in range(2):
        kept = {
            name: part if part.ndim < 3 else part[row : row + 1, mask[row]]
            for name, part in inputs.items()
        }
        alone = selective_scan(**kept, reverse=reverse, form=form)
        np.testing.assert_allclose(
            whole[row : row + 1, mask[row]],
            alone,
            rtol=tolerance("masked_scan", "relative"),
            atol=tolerance("masked_scan", "absolute"),
        )


def test_selective_scan_against_mambapy(tolerance: Tolerance) -> None:
    torch.manual_seed(0)
    block = MambaBlock(MambaConfig(d_model=4, n_layers=1, d_state=3, expand_factor=2, pscan=False))
    inputs = selective_inputs(2, 33, 8, 3)
    with torch.no_grad():
        block.A_log.copy_(torch.tensor(np.log(-inputs["rate"])))
        block.D.copy_(torch.tensor(inputs["skip"]))
        theirs = block.selective_scan_seq(
            *(torch.tensor(inputs[name]) for name in ("x", "time_step")),
            -torch.exp(block.A_log),
            *(torch.tensor(inputs[name]) for name in ("input_map", "output_map")),
            block.D,
        )
    assert relative_error(selective_scan(**inputs), theirs.numpy()) <= tolerance("scan", "float32")


def test_selective_scan_in_bfloat16(tolerance: Tolerance) -> None:
    inputs = selective_inputs(2, 50, 4, 4)
    low = {
        name: jnp.asarray(part, jnp.bfloat16 if part.ndim == 3 else jnp.float32)
        for name, part in inputs.items()
    }
    expected = selective_scan(**{name: part.astype(jnp.float32) for name, part in low.items()})
    ours = selective_scan(**low)
    assert ours.dtype == jnp.bfloat16
    assert relative_error(ours, expected) <= tolerance("scan", "bfloat16")


def test_selective_scan_memory() -> None:
    """(8, 4096, 512, 16): at most 1.2 times inputs, outputs and one chunk; nothing is run."""
    rows, length, channels, states = 8, 4096, 512, 16
    shapes = [
        (rows, length, channels),
        (rows, length, channels),
        (channels, states),
        (rows, length, states),
        (rows, length, states),
        (channels,),
    ]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    mask = jax.ShapeDtypeStruct((rows, length), jnp.bool_)
    memory = selective_scan.lower(*arguments, mask=mask).compile().memory_analysis()
    outside = memory.argument_size_in_bytes + memory.output_size_in_bytes
    one_chunk = rows * 8 * states * channels * 4
    assert outside + memory.temp_size_in_bytes <= 1.2 * (outside + one_chunk)


@pytest.mark.parametrize(("heads", "groups"), [(4, 1), (6, 3)])
@pytest.mark.parametrize("length", [70])
def test_ssd_is_the_recurrence(heads: int, groups: int, length: int, tolerance: Tolerance) -> None:
    inputs = ssd_inputs(2, length, heads, groups)
    expected = in_float64(ssd_reference, inputs)
    limit = tolerance("scan", "float32")
    assert relative_error(ssd(**inputs), expected) <= limit
    assert relative_error(ssd(**flipped(inputs), reverse=True)[:, ::-1], expected) <= limit


def test_ssd_does_not_depend_on_its_chunks(tolerance: Tolerance) -> None:
    inputs = ssd_inputs(1, 45, 4, 2)
    expected = in_float64(ssd_reference, inputs)
    for chunk_tokens in (1, 100):
        ours = ssd(**inputs, chunk_tokens=chunk_tokens)
        assert relative_error(ours, expected) <= tolerance("scan", "float32")
    with pytest.raises(ValueError, match="4 heads do not divide into 3 groups"):
        ssd(**inputs | {name: np.ones((1, 45, 3, 6)) for name in ("input_map", "output_map")})


@pytest.mark.parametrize("reverse", [False, True])
def test_ssd_ignores_masked_tokens(reverse: bool, tolerance: Tolerance) -> None:
    inputs = ssd_inputs(2, 40, 4, 1)
    mask = scattered_mask(2, 40, count=24)
    whole = np.asarray(ssd(**inputs, mask=mask, reverse=reverse))
    assert not whole[~mask].any()
    for row in range(2):
        kept = {
            name: part if part.ndim < 3 else part[row : row + 1, mask[row]]
            for name, part in inputs.items()
        }
        alone = ssd(**kept, reverse=reverse)
        np.testing.assert_allclose(
            whole[row : row + 1, mask[row]],
            alone,
            rtol=tolerance("masked_ssd", "relative"),
            atol=tolerance("masked_ssd", "absolute"),
        )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("length", "taps", "bias"), [(1, 4, True), (12, 4, True), (9, 1, False)])
def test_convolution_against_its_plain_form(
    length: int, taps: int, bias: bool, reverse: bool, tolerance: Tolerance
) -> None:
    generator = np.random.default_rng(length)
    x = generator.standard_normal((2, length, 3), dtype=np.float32)
    weights = generator.standard_normal((3, taps), dtype=np.float32)
    added = generator.standard_normal(3, dtype=np.float32) if bias else None
    mask = generator.random((2, length)) < 0.7
    ours = causal_depthwise_convolution(x, weights, added, mask=mask, reverse=reverse)
    given = (None if part is None else jnp.asarray(part) for part in (x, weights, added))
    plain = causal_depthwise_convolution_reference(*given, mask=jnp.asarray(mask), reverse=reverse)
    np.testing.assert_allclose(
        ours,
        plain,
        rtol=tolerance("depthwise_convolution", "float32"),
        atol=tolerance("depthwise_convolution", "float32"),
    )


def test_convolution_against_torch(tolerance: Tolerance) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 9, 3), dtype=np.float32)
    weights = generator.standard_normal((3, 4), dtype=np.float32)
    bias = generator.standard_normal(3, dtype=np.float32)
    theirs = torch.nn.functional.conv1d(
        torch.tensor(x).transpose(1, 2),
        torch.tensor(weights)[:, None],
        torch.tensor(bias),
        padding=3,
        groups=3,
    )[..., :9].transpose(1, 2)
    ours = causal_depthwise_convolution(x, weights, bias)
    np.testing.assert_allclose(
        ours,
        theirs.numpy(),
        rtol=tolerance("depthwise_convolution", "float32"),
        atol=tolerance("depthwise_convolution", "float32"),
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_on_either_side_does_not_reach_the_tokens(
    reverse: bool, tolerance: Tolerance
) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1, 6, 2), dtype=np.float32)
    weights = generator.standard_normal((2, 4), dtype=np.float32)
    alone = causal_depthwise_convolution(x, weights, reverse=reverse)
    padded = np.pad(x, ((0, 0), (3, 5), (0, 0)), constant_values=9.0)
    mask = np.zeros((1, 14), bool)
    mask[:, 3:9] = True
    ours = causal_depthwise_convolution(padded, weights, mask=mask, reverse=reverse)
    np.testing.assert_allclose(
        ours[:, 3:9],
        alone,
        rtol=tolerance("depthwise_convolution", "float32"),
        atol=tolerance("depthwise_convolution", "float32"),
    )
