"""The selective scan's kernel, its operations run one by one, and what each platform is given."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_kernels.fused_selective_scan import LONGEST_AT_ONCE, fused_selective_scan
from geneb_jax_kernels.selective_scan import selective_scan
from tests.kernels.test_scans import Arrays, scattered_mask, selective_inputs
from tests.tolerance import Tolerance, relative_error


def recurrence(inputs: Arrays, mask: np.ndarray | None, *, reverse: bool) -> np.ndarray:
    """The formula in NumPy, float64, token by token; a masked token is not there."""
    wide = {name: part.astype(np.float64) for name, part in inputs.items()}
    rows, length, channels = wide["x"].shape
    result = np.zeros((rows, length, channels))
    for row in range(rows):
        state = np.zeros(wide["rate"].shape)
        for token in reversed(range(length)) if reverse else range(length):
            if mask is not None and not mask[row, token]:
                continue
            x, step = wide["x"][row, token], wide["time_step"][row, token]
            state = state * np.exp(step[:, None] * wide["rate"])
            state += (step * x)[:, None] * wide["input_map"][row, token]
            result[row, token] = state @ wide["output_map"][row, token] + wide["skip"] * x
    return result


def interpreted(inputs: Arrays, mask: np.ndarray | None = None, **options: object) -> np.ndarray:
    run = jax.jit(partial(fused_selective_scan, interpret=True, **options))
    return np.asarray(run(**inputs, mask=mask))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("rows", "length", "channels", "states", "chunk_tokens"),
    # Nothing to cut off at any end; and ends in every axis, in seven chunks.
    [(1, 512, 32, 16, None), (2, 101, 35, 3, 15)],
)
def test_the_kernel_is_the_recurrence(
    rows: int,
    length: int,
    channels: int,
    states: int,
    chunk_tokens: int | None,
    reverse: bool,
    tolerance: Tolerance,
) -> None:
    inputs = selective_inputs(rows, length, channels, states)
    mask = scattered_mask(rows, length, count=length * 3 // 4)
    ours = interpreted(inputs, mask, reverse=reverse, chunk_tokens=chunk_tokens)
    limit = tolerance("fused_scan", "float32")
    assert relative_error(ours, recurrence(inputs, mask, reverse=reverse)) <= limit
    shipped = selective_scan(**inputs, mask=mask, reverse=reverse, form="sequential")
    assert relative_error(ours, shipped) <= limit
    assert not ours[~mask].any()


@pytest.mark.sweep
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_131072_tokens_in_chunks(reverse: bool, masked: bool, tolerance: Tolerance) -> None:
    length = 131_072
    assert length > LONGEST_AT_ONCE
    inputs = selective_inputs(1, length, 3, 4)
    mask = scattered_mask(1, length, count=length - 1000) if masked else None
    ours = interpreted(inputs, mask, reverse=reverse)
    limit = tolerance("fused_scan", "float32")
    assert relative_error(ours, recurrence(inputs, mask, reverse=reverse)) <= limit
    shipped = selective_scan(**inputs, mask=mask, reverse=reverse, form="sequential")
    assert relative_error(ours, shipped) <= limit


def test_the_kernel_in_bfloat16(tolerance: Tolerance) -> None:
    inputs = selective_inputs(1, 40, 32, 4)
    low = {
        name: jnp.asarray(part, jnp.bfloat16 if name in ("x", "input_map", "output_map") else None)
        for name, part in inputs.items()
    }
    ours = interpreted(low)
    assert ours.dtype == jnp.bfloat16
    wide = {name: np.asarray(part, np.float32) for name, part in low.items()}
    expected = recurrence(wide, None, reverse=False)
    assert relative_error(ours, expected) <= tolerance("scan", "bfloat16")


@pytest.mark.parametrize("length", [512, LONGEST_AT_ONCE + 1])
def test_only_nvidia_gpus_are_given_the_kernel(length: int) -> None:
    inputs = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, selective_inputs(1, length, 64, 16)))
    traced = selective_scan.trace(**inputs, mask=jax.ShapeDtypeStruct((1, length), jnp.bool_))
    kernels = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("xla.gpu.triton")
        for platform in ("cuda", "cpu", "tpu")
    }
    assert kernels == {"cuda": 1 if length <= LONGEST_AT_ONCE else 3, "cpu": 0, "tpu": 0}
