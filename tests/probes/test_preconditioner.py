"""What preconditions the exact solver is the Hessian that JAX differentiates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_probes.devices import Lane, lanes
from geneb_jax_probes.exact_fits import _hessian
from geneb_jax_probes.feature_solver import contrasts
from geneb_jax_probes.packing import FeatureGroup, Layout, lay_out
from geneb_jax_probes.plan import make_plan
from geneb_jax_probes.problem import make_problem
from geneb_jax_probes.resident import Resident, put_resident
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.streamed import Streamed

Tolerance = Callable[[str, str], float]
#: Fewer than sixteen rows a feature twice over: none are left out.
ROWS, WIDTH = 2100, 80
SETTINGS = Settings(np.array([1.0]), "exact", None, 100, "float32")


def _held(classes: int, lane: Lane) -> tuple[Layout, Resident, Streamed]:
    rng = np.random.default_rng(classes)
    X = (rng.standard_normal((ROWS, WIDTH)) + 2).astype(np.float32)
    y = rng.integers(classes, size=ROWS)
    problem = make_problem(X, y, None)
    fits = make_plan([problem], "exact").by_features
    layout = lay_out(FeatureGroup(tuple(fits), None), problem, SETTINGS)
    streamed = Streamed.within(layout, SETTINGS, lane, 3 * 1024 * WIDTH * 4)
    return layout, put_resident(layout, SETTINGS, lane), streamed


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("platform", ["cpu", "accelerator"])
def test_hessian(classes: int, platform: str, tolerance: Tolerance) -> None:
    lane = replace(lanes()[0], platform=platform)
    layout, *forms = _held(classes, lane)
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
    for form in forms:
        with lane.precisely():
            found = _hessian(form, chances, shares, lane)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance("gram", "float32"))
