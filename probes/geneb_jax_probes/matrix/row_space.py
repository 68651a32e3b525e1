"""Problems with fewer rows than features, in the coordinates of their rows, many matrices at once.

From zero, every iterate and gradient of logistic regression is a combination of the rows of X, and
L-BFGS sees inner products only. So a vector is kept as multiples of the rows, with the Gram matrix
K for its inner products: the path is that of the features, for n variables a logit instead of d,
and no basis is ever formed. Only ``max|g|``, which decides the reference's stop, is taken in the
coordinates of the features.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from geneb_jax_kernels.logistic_loss import pointwise_terms
from geneb_jax_probes.lbfgs.loop import Stop, run_machines
from geneb_jax_probes.lbfgs.machines import Evaluation, Rules
from geneb_jax_probes.matrix.end_points import EndPoints, end_points
from geneb_jax_probes.matrix.preconditioners import precondition_rows
from geneb_jax_probes.programs import program

__all__ = ["minimise_rows"]


@program("rules", "preconditioned", "batched_lapack")
def minimise_rows(
    X: Float[Array, "matrix row dim"],
    codes: Int[Array, "matrix row"],
    shares: Float[Array, "matrix row"],
    penalty: Float[Array, "matrix problem"],
    start: Float[Array, "matrix logit"],
    stop: Stop,
    *,
    rules: Rules,
    preconditioned: bool,
    batched_lapack: bool,
) -> EndPoints:
    """Solve the problems of several small matrices.

    Args:
        X: Features; padding rows are zero.
        codes: Class of each row.
        shares: Row weights, 0 at padding, summing to 1 (a matrix of padding sums to 0).
        penalty: ``1 / (C n)``, in the dtype that everything is computed in.
        start: Intercepts to begin at.
        stop: Limits.
        rules: Of the machines.
        preconditioned: Whether to make the Hessian at the start the identity.
        batched_lapack: Whether decompositions may take many matrices at once.

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
    if preconditioned:
        base = start if logits > 1 else jnp.concatenate([jnp.zeros_like(start), start], axis=1)
        chance = jax.nn.softmax(base, axis=1)
        curvature = jnp.mean(chance * (1 - chance), axis=1)
        share = jnp.sum(shares * shares, axis=1)
        apply = precondition_rows(gram, share, penalty, curvature, batched=batched_lapack)

    def evaluate(points: Float[Array, "column p"]) -> Evaluation:
        theta = points.reshape(*columns, rows + 1)
        multiples, intercept = theta[..., :-1], theta[..., -1]

        def products(
            part: Float[Array, "matrix problem logit row"],
        ) -> Float[Array, "matrix problem logit row"]:
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

        def joined(
            part: Float[Array, "matrix problem logit row"],
            last: Float[Array, "matrix problem logit"],
        ) -> Float[Array, "column p"]:
            return jnp.concatenate([part, last[..., None]], axis=3).reshape(points.shape)

        vector, step = slope, balance
        if apply is not None:
            vector, step = apply(slope), balance / curvature[:, None, None]
        return Evaluation(
            value=value.reshape(-1),
            gradient=joined(vector, step),
            dual=joined(products(slope), balance),
            norm=norm.reshape(-1),
        )

    weights = jnp.zeros((*columns, rows), X.dtype)
    begun = jnp.broadcast_to(start[:, None, :, None], (*columns, 1))
    points = jnp.concatenate([weights, begun], axis=3).reshape(matrices * problems, -1)
    machines = run_machines(evaluate, points, with_dual=True, stop=stop, rules=rules)
    return end_points(machines, columns)
