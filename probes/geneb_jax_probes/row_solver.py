"""Problems with fewer rows than features, in the coordinates of their rows, many matrices at once.

From zero, every iterate and gradient of logistic regression is a combination of the rows of X, and
L-BFGS sees inner products only. So a vector is kept as multiples of the rows, with the Gram matrix
K for its inner products: the path is that of the features, for n variables a logit instead of d,
and no basis is ever formed. Only ``max|g|``, which decides the reference's stop, is taken in the
coordinates of the features.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from geneb_jax_kernels.logistic_loss import pointwise_terms
from geneb_jax_probes.feature_solver import Ended, run_machines
from geneb_jax_probes.machines import Found, Rules, progress, promised
from geneb_jax_probes.programs import program

__all__ = ["solve_rows"]

#: Eigenvalues of the Gram matrix below this share of the largest are directions that the rows do
#: not have (rows are centred, may repeat, and are padded). Nothing may move along them: their
#: lengths are rounding, of either sign, and an objective that counts them has no minimum.
_NO_DIRECTION = 1e-13


def _eigenbases(matrices: Any) -> Any:
    """Eigenvalues and eigenvectors of symmetric ``[matrix, row, row]``.

    On CPU one after the other: a batched LAPACK call hands its matrices to the threads that run
    programs and waits for them, so that two such programs on two lanes can wait for each other
    for ever (seen with jaxlib 0.10.2, for ``eigh``, ``cholesky`` and ``triangular_solve``).
    """
    if jax.default_backend() == "cpu":
        return jax.lax.map(jnp.linalg.eigh, matrices)
    return jnp.linalg.eigh(matrices)


def _preconditioner(gram: Any, share: Any, penalty: Any, curvature: Any) -> Any:
    """``(curvature * K * share + penalty)^-1`` applied to ``[matrix, problem, logit, row]``.

    Args:
        gram: K ``[matrix, row, row]``.
        share: Mean row share ``[matrix]``, 1 / n.
        penalty: ``[matrix, problem]``.
        curvature: Second derivative of the loss where the search begins ``[matrix]``.
    """
    scaled = (curvature * share)[:, None, None] * gram
    values, basis = _eigenbases(scaled)
    real = (values > _NO_DIRECTION * values[:, -1:]).astype(values.dtype)
    shifted = jnp.maximum(values, 0)[:, None, None, :] + penalty[:, :, None, None]
    factor = real[:, None, None, :] / shifted

    def in_basis(slope: Any) -> Any:
        along = jnp.einsum("tnm,tcln->tclm", basis, slope)
        return jnp.einsum("tnm,tclm->tcln", basis, along * factor)

    return in_basis


@program("rules", "exact")
def solve_rows(
    X: Any,
    codes: Any,
    shares: Any,
    penalty: Any,
    start: Any,
    tol: Any,
    max_iter: Any,
    *,
    rules: Rules,
    exact: bool,
) -> Ended:
    """Solve the problems of several small matrices.

    Args:
        X: ``[matrix, row, dim]``; padding rows are zero.
        codes: ``[matrix, row]`` int32.
        shares: ``[matrix, row]``, 0 at padding, summing to 1 (a matrix of padding sums to 0).
        penalty: ``[matrix, problem]``, in the dtype that everything is computed in.
        start: Intercepts to begin at ``[matrix, logit]``.
        tol: Largest gradient component to stop at.
        max_iter: Step limit.
        rules: Of the machines.
        exact: Whether to precondition.

    Returns:
        Leading axes ``[matrix, problem]``; ``weights`` are multiples of the rows.
    """
    matrices, rows, _ = X.shape
    problems, logits = penalty.shape[1], start.shape[1]
    X = X.astype(penalty.dtype)
    gram = jnp.einsum("tnd,tmd->tnm", X, X)
    columns = (matrices, problems, logits)
    curvature = jnp.ones(matrices, X.dtype)
    apply = None
    if exact:
        base = start if logits > 1 else jnp.concatenate([jnp.zeros_like(start), start], axis=1)
        chance = jax.nn.softmax(base, axis=1)
        curvature = jnp.mean(chance * (1 - chance), axis=1)
        share = jnp.sum(shares * shares, axis=1)
        apply = _preconditioner(gram, share, penalty, curvature)

    def evaluate(points: Any) -> Found:
        theta = points.reshape(*columns, rows + 1)
        multiples, intercept = theta[..., :-1], theta[..., -1]

        def products(part: Any) -> Any:
            flat = part.reshape(matrices, problems * logits, rows)
            return (flat @ gram).reshape(part.shape)

        images = products(multiples)
        z = jnp.moveaxis(images + intercept[..., None], 2, 3)
        losses, residual = pointwise_terms(z, codes[:, None, :])
        weighted = jnp.moveaxis(residual * shares[:, None, :, None], 3, 2)
        lengths = jnp.sum(multiples * images, axis=(2, 3))
        value = jnp.sum(losses * shares[:, None, :], axis=2) + 0.5 * penalty * lengths
        slope = weighted + penalty[:, :, None, None] * multiples
        balance = jnp.sum(weighted, axis=3)
        flat = slope.reshape(matrices, problems * logits, rows)
        widest = jnp.max(jnp.abs(flat @ X).reshape(matrices, problems, -1), axis=2)
        norm = jnp.maximum(widest, jnp.max(jnp.abs(balance), axis=2))

        def joined(part: Any, last: Any) -> Any:
            return jnp.concatenate([part, last[..., None]], axis=3).reshape(points.shape)

        vector, step = slope, balance
        if apply is not None:
            vector, step = apply(slope), balance / curvature[:, None, None]
        return Found(
            value=value.reshape(-1),
            gradient=joined(vector, step),
            dual=joined(products(slope), balance),
            norm=norm.reshape(-1),
        )

    weights = jnp.zeros((*columns, rows), X.dtype)
    begun = jnp.broadcast_to(start[:, None, :, None], (*columns, 1))
    points = jnp.concatenate([weights, begun], axis=3).reshape(matrices * problems, -1)
    machines = run_machines(
        evaluate, points, with_dual=True, tol=tol, max_iter=max_iter, rules=rules
    )
    theta = machines.base.reshape(*columns, rows + 1)
    end = progress(machines)
    ends = (end.value, end.norm, end.steps, end.ending, promised(machines))
    return Ended(
        theta[..., :-1], theta[..., -1], *(one.reshape(matrices, problems) for one in ends)
    )
