"""Inverses by kept factors: the kernels, operation by operation, and the plain form, by NumPy."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import cholesky, solve, solve_triangular

from geneb_jax_kernels.factor_products import (
    FACTOR_TILE,
    factor_products,
    fused_factor_products,
)
from tests.tolerance import Tolerance, relative_error


@pytest.mark.parametrize("form", ["plain", "fused"])
def test_a_column_gets_the_inverse_of_its_own_matrix(form: str, tolerance: Tolerance) -> None:
    rng = np.random.default_rng(0)
    size = 2 * FACTOR_TILE
    roots = rng.standard_normal((3, size, 4 * size))
    matrices = roots @ roots.transpose(0, 2, 1) / size
    factors = [
        solve_triangular(cholesky(A, lower=True), np.eye(size), lower=True) for A in matrices
    ]
    place, live = np.array([2, 0, 2, 1], np.int32), np.array([True, True, False, True])
    vectors = rng.standard_normal((4, size))
    apply = partial(fused_factor_products, interpret=True) if form == "fused" else factor_products
    found = apply(
        jnp.asarray(np.stack(factors), jnp.float32),
        jnp.asarray(place),
        jnp.asarray(vectors, jnp.float32),
        jnp.asarray(live),
    )
    for at, own, vector, wanted in zip(place, np.asarray(found), vectors, live, strict=True):
        if wanted:
            right = solve(matrices[at], vector, assume_a="pos")
            assert relative_error(own, right) < tolerance("factor_products", "float32")
