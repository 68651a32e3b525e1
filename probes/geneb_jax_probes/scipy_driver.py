"""The simple form of both solvers: scipy's L-BFGS-B over a jitted value-and-gradient.

One fit at a time, float64 outside and the working dtype inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

__all__ = ["Solution", "minimise"]


@dataclass(frozen=True, slots=True)
class Solution:
    """One fit: coef ``[L, d]``, intercept ``[L]`` and how it ended."""

    coef: np.ndarray
    intercept: np.ndarray
    objective: float
    n_iter: int
    grad_norm: float
    status: str


@partial(jax.jit, static_argnames=("logits",))
def _value_and_gradient(
    theta: Any, X: Any, codes: Any, weights: Any, penalty: Any, *, logits: int
) -> tuple[Any, Any]:
    def objective(theta: Any) -> Any:
        coef, intercept = theta[:, :-1], theta[:, -1]
        scores = X @ coef.T + intercept[None, :]
        if logits == 1:
            z = scores[:, 0]
            losses = jax.nn.softplus(z) - codes.astype(z.dtype) * z
        else:
            losses = jax.nn.logsumexp(scores, axis=1) - jnp.take_along_axis(
                scores, codes[:, None], axis=1
            ).squeeze(1)
        return jnp.sum(weights * losses) + 0.5 * penalty * jnp.sum(coef * coef)

    return jax.value_and_grad(objective)(theta)


def minimise(
    X: np.ndarray,
    codes: np.ndarray,
    weights: np.ndarray | None,
    C: float,
    class_count: int,
    *,
    tol: float,
    max_iter: int,
    ftol: float,
) -> Solution:
    """Fit one problem; ``codes`` run over 0..class_count-1, all present."""
    logits = 1 if class_count == 2 else class_count
    total = float(len(X)) if weights is None else float(weights.sum())
    shares = np.full(len(X), 1.0) if weights is None else weights
    dtype = X.dtype
    penalty = 1.0 / (C * total)
    shape = (logits, X.shape[1] + 1)

    def at(theta: np.ndarray, features: Any, rows: Any, share: Any) -> tuple[float, np.ndarray]:
        value, gradient = _value_and_gradient(
            jnp.asarray(theta.reshape(shape, order="F").astype(dtype)),
            features,
            rows,
            share,
            jnp.asarray(penalty, dtype),
            logits=logits,
        )
        return float(value), np.asarray(gradient, dtype=np.float64).ravel(order="F")

    with jax.enable_x64(dtype == np.float64):
        data = (
            jnp.asarray(X),
            jnp.asarray(codes, jnp.int32),
            jnp.asarray((shares / total).astype(dtype)),
        )
        call: Callable[[np.ndarray], tuple[float, np.ndarray]] = lambda theta: at(theta, *data)  # noqa: E731
        found = minimize(
            call,
            np.zeros(shape[0] * shape[1]),
            method="L-BFGS-B",
            jac=True,
            options={
                "maxiter": max_iter,
                "maxls": 50,
                "gtol": tol,
                "ftol": ftol,
                "maxfun": max(15000, 20 * max_iter),
            },
        )
    theta = found.x.reshape(shape, order="F")
    norm = float(np.abs(found.jac).max())
    if not np.isfinite(found.fun):
        status = "not_finite"
    elif norm <= tol:
        status = "converged"
    elif found.status == 0:
        status = "no_progress"
    else:
        status = "max_iter" if found.status == 1 else "line_search"
    return Solution(
        theta[:, :-1].astype(dtype),
        theta[:, -1].astype(dtype),
        float(found.fun),
        int(found.nit),
        norm,
        status,
    )
