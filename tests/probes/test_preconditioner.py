"""What preconditions the exact solver is the Hessian that JAX differentiates."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_probes.lanes import lanes
from geneb_jax_probes.matrix.held_matrix import hold
from geneb_jax_probes.matrix.layout import Layout
from geneb_jax_probes.matrix.preconditioners import contrasts
from geneb_jax_probes.solvers.exact import hessian
from tests.tolerance import Tolerance

#: Fewer than sixteen rows a feature twice over: none are left out.
ROWS, WIDTH = 2100, 80


def _layout(classes: int) -> Layout:
    rng = np.random.default_rng(classes)
    X = rng.standard_normal((ROWS, WIDTH)).astype(np.float32)
    codes = rng.integers(classes, size=ROWS).astype(np.int32)
    shares = np.full((ROWS, 1), 1 / ROWS)
    return Layout(X, codes, shares, np.full(WIDTH, 0.25), 1.0, np.float32)


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("platform", ["cpu", "accelerator"])
def test_hessian(classes: int, platform: str, tolerance: Tolerance) -> None:
    lane, layout = replace(lanes()[0], platform=platform), _layout(classes)
    whole_matrix, three_blocks = layout.bytes, 3 * 1024 * WIDTH * 4
    rng = np.random.default_rng(7)
    logits = 1 if classes == 2 else classes
    theta = 0.1 * rng.standard_normal((logits, WIDTH + 1))
    X = np.column_stack([layout.features(0, ROWS, ROWS), np.ones(ROWS)])
    shares = layout.columns[:, 0]

    def loss(flat: jax.Array) -> jax.Array:
        z = jnp.asarray(X) @ flat.reshape(logits, -1).T
        z = jnp.concatenate([jnp.zeros_like(z), z], axis=1) if logits == 1 else z
        chosen = z[jnp.arange(ROWS), jnp.asarray(layout.codes)]
        return jnp.sum(jnp.asarray(shares) * (jax.nn.logsumexp(z, axis=1) - chosen))

    with jax.enable_x64(True):
        whole = np.asarray(jax.hessian(loss)(jnp.asarray(theta.reshape(-1))))
    basis = np.kron(contrasts(logits), np.eye(WIDTH + 1))
    expected = basis @ whole @ basis.T
    chances = layout.chances(theta[:, :-1], theta[:, -1])
    np.testing.assert_allclose(chances.sum(axis=0), 1.0, rtol=0, atol=tolerance("gram", "float32"))
    for budget in (whole_matrix, three_blocks):
        with lane.precisely():
            found = hessian(hold(layout, lane, budget), chances, shares)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance("gram", "float32"))
