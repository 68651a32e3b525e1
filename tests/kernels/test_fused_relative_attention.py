"""Attention by distance as a kernel, its operations run one by one, against all pairs at once."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_kernels.fused_relative_attention import fused_relative_attention, takes
from geneb_jax_kernels.relative_shift import (
    relative_attention_of_rows,
    relative_attention_reference,
)
from tests.kernels.test_scans import in_float64
from tests.tolerance import Tolerance, relative_error


def drawn(rows: int, length: int, heads: int, width: int, value: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(length)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    return {
        "query": normal(rows, length, heads, width) * np.float32(width**-0.5),
        "key": normal(rows, length, heads, width),
        "value": normal(rows, length, heads, value),
        "distance_key": normal(2 * length - 1, heads, width),
        "content_bias": normal(heads, width) * np.float32(0.3),
        "position_bias": normal(heads, width) * np.float32(0.3),
    }


def plain(parts: dict[str, np.ndarray]) -> np.ndarray:
    own = ("query", "key", "value")
    rows = range(len(parts["query"]))
    return np.stack(
        [
            in_float64(
                relative_attention_reference,
                {name: part[row] if name in own else part for name, part in parts.items()},
            )
            for row in rows
        ]
    )


@pytest.mark.parametrize(
    ("rows", "length", "value"),
    # Blocks of queries and keys that are full; and none that is, with a value of two parts.
    [pytest.param(1, 256, 16, marks=pytest.mark.sweep), (2, 150, 48)],
)
def test_the_kernel_is_attention(rows: int, length: int, value: int, tolerance: Tolerance) -> None:
    parts = drawn(rows, length, 2, 16, value)
    with jax.default_matmul_precision("highest"):
        ours = jax.jit(partial(fused_relative_attention, interpret=True))(**parts)
    assert relative_error(ours, plain(parts)) <= tolerance("relative_attention", "float32")


def test_the_kernel_in_bfloat16(tolerance: Tolerance) -> None:
    parts = {
        name: jnp.asarray(part, jnp.bfloat16) for name, part in drawn(1, 70, 1, 16, 16).items()
    }
    ours = jax.jit(partial(fused_relative_attention, interpret=True))(**parts)
    assert ours.dtype == jnp.bfloat16
    expected = plain({name: np.asarray(part, np.float32) for name, part in parts.items()})
    assert relative_error(ours, expected) <= tolerance("relative_attention", "bfloat16")


@pytest.mark.parametrize(
    ("width", "dtype", "taken"),
    [(64, "bfloat16", True), (64, "float32", False), (48, "bfloat16", False)],
)
def test_who_is_given_the_kernel(width: int, dtype: str, taken: bool) -> None:
    parts = jax.eval_shape(
        lambda: {
            name: jnp.asarray(part, dtype) for name, part in drawn(2, 300, 2, width, 192).items()
        }
    )
    assert takes(width, 192, jnp.dtype(dtype)) == taken
    traced = jax.jit(lambda parts: relative_attention_of_rows(**parts)).trace(parts)
    kernels = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("xla.gpu.triton")
        for platform in ("cuda", "cpu", "tpu")
    }
    assert kernels == {"cuda": int(taken), "cpu": 0, "tpu": 0}
