"""SSD as large products: what accelerators are given, against the float64 recurrence."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_kernels.ssd import ssd, ssd_reference
from geneb_jax_kernels.ssd_products import ssd_by_products
from tests.kernels.test_scans import Arrays, flipped, in_float64, scattered_mask, ssd_inputs
from tests.tolerance import Tolerance, relative_error


def by_products(inputs: Arrays, mask: np.ndarray | None = None, *, reverse: bool) -> np.ndarray:
    mask = np.ones(inputs["x"].shape[:2], bool) if mask is None else mask
    return np.asarray(jax.jit(partial(ssd_by_products, reverse=reverse))(**inputs, mask=mask))


@pytest.mark.parametrize(
    ("heads", "groups", "length"),
    # Less than a part; parts; several chunks, more of them than are joined at once.
    [(4, 2, 9), (4, 1, 70), (2, 1, 2200)],
)
def test_products_are_the_recurrence(
    heads: int, groups: int, length: int, tolerance: Tolerance
) -> None:
    inputs = ssd_inputs(1, length, heads, groups)
    expected = in_float64(ssd_reference, inputs)
    limit = tolerance("ssd_products", "float32")
    assert relative_error(by_products(inputs, reverse=False), expected) <= limit
    backwards = by_products(flipped(inputs), reverse=True)
    assert relative_error(backwards[:, ::-1], expected) <= limit


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.sweep), True])
def test_products_and_short_chunks_ignore_the_same_tokens(
    reverse: bool, tolerance: Tolerance
) -> None:
    inputs = ssd_inputs(2, 300, 4, 2)
    mask = scattered_mask(2, 300, count=140)
    ours = by_products(inputs, mask, reverse=reverse)
    assert not ours[~mask].any()
    for row in range(2):
        kept = {
            name: part if part.ndim < 3 else part[row : row + 1, mask[row]]
            for name, part in inputs.items()
        }
        kept = flipped(kept) if reverse else kept
        expected = in_float64(ssd_reference, kept)[:, :: -1 if reverse else 1]
        limit = tolerance("ssd_products", "float32")
        assert relative_error(ours[row : row + 1, mask[row]], expected) <= limit
    shipped = ssd(**inputs, mask=mask, reverse=reverse)
    assert relative_error(ours, shipped) <= tolerance("ssd_products", "float32")


def test_products_in_bfloat16(tolerance: Tolerance) -> None:
    inputs = ssd_inputs(1, 200, 4, 1)
    low = {
        name: jnp.asarray(part, jnp.bfloat16 if name in ("x", "input_map", "output_map") else None)
        for name, part in inputs.items()
    }
    expected = in_float64(ssd_reference, {name: np.asarray(part) for name, part in low.items()})
    ours = by_products(low, reverse=False)
    assert ours.dtype == jnp.bfloat16
    assert relative_error(ours, expected) <= tolerance("scan", "bfloat16")


def test_accelerators_are_given_products() -> None:
    traced = ssd.trace(
        **jax.eval_shape(lambda: jax.tree.map(jnp.asarray, ssd_inputs(1, 300, 4, 1)))
    )
    loops = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.while")
        for platform in ("cuda", "cpu", "tpu")
    }
    assert loops == {"cuda": 0, "cpu": 1, "tpu": 0}
