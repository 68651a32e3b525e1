"""Gram matrices and inverse factors against NumPy and SciPy in float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from geneb_jax_kernels.gram import host_gram, inverse_cholesky, weighted_gram
from tests.tolerance import Tolerance

ROWS, WIDTH, BLOCK = 2500, 130, 512


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)


def _weights(kind: str) -> np.ndarray:
    if kind == "alike":
        return np.full(ROWS, 1 / ROWS, np.float32)
    made = np.random.default_rng(1).gamma(1.0, size=ROWS)
    made[::3] = 0.0
    return (made / made.sum()).astype(np.float32)


@pytest.mark.parametrize("kind", ["alike", "different"])
@pytest.mark.parametrize("form", ["host", "host_float64", "xla"])
def test_gram(X: np.ndarray, form: str, kind: str, tolerance: Tolerance) -> None:
    weights = _weights(kind)
    if form == "xla":
        blocks = -(-ROWS // BLOCK)
        padded = np.full((blocks * BLOCK, WIDTH), np.nan, np.float32)
        padded[:ROWS] = X
        padded[ROWS:] = 0.0
        shares = np.zeros(len(padded), np.float32)
        shares[:ROWS] = weights
        gram = np.asarray(
            weighted_gram(padded, shares, jnp.int32(blocks), jnp.int32(1), block_rows=BLOCK)
        )
    else:
        features = X.astype(np.float64) if form == "host_float64" else X
        gram = host_gram(features, float(weights[0]) if kind == "alike" else weights)
    exact = X.astype(np.float64).T @ (X.astype(np.float64) * weights[:, None])
    assert gram.dtype == np.float32
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(gram, exact, rtol=0, atol=tolerance("gram", "float32"))


@pytest.mark.parametrize("size", [1, 63, 64, 200, 301])
def test_inverse_cholesky(size: int, tolerance: Tolerance) -> None:
    rng = np.random.default_rng(size)
    half = rng.standard_normal((size, size + 5))
    A = half @ half.T / size + np.eye(size)
    expected = scipy.linalg.inv(scipy.linalg.cholesky(A, lower=True))
    found = np.asarray(inverse_cholesky(jnp.asarray(A, jnp.float32)))
    np.testing.assert_array_equal(found, np.tril(found))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance("gram", "float32"))
