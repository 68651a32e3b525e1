"""Small matrices in the coordinates of their features, rounded to float32 as scikit-learn does.

Where :mod:`~geneb_jax_probes.matrix.row_space` takes the same path in fewer variables, this one
keeps the weights themselves: they are rounded to float32 before every product, and no coordinates
but theirs can do that.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from geneb_jax_kernels.rounded_loss import pairwise_sum, rounded, rounded_terms, running_sum
from geneb_jax_probes.lbfgs.loop import Stop, run_machines
from geneb_jax_probes.lbfgs.machines import Evaluation, Rules
from geneb_jax_probes.matrix.arithmetic import Arithmetic
from geneb_jax_probes.matrix.end_points import EndPoints, end_points
from geneb_jax_probes.programs import program

__all__ = ["minimise_small"]


@program("rules", "arithmetic")
def minimise_small(
    X: Float[Array, "matrix row dim"],
    codes: Int[Array, "matrix row"],
    shares: Float[Array, "matrix row"],
    penalty: Float[Array, "matrix problem"],
    start: Float[Array, "matrix logit"],
    counts: Int[Array, " matrix"],
    stop: Stop,
    *,
    rules: Rules,
    arithmetic: Arithmetic,
) -> EndPoints:
    """Solve the problems of several small matrices.

    Products are exact to the last bit of float32, sums are NumPy's in its order.

    Args:
        X: Features; padding rows are zero.
        codes: Class of each row.
        shares: Row weights, 0 at padding, summing to 1 (a matrix of padding sums to 0).
        penalty: ``1 / (C n)``, in the dtype that the machines compute in.
        start: Intercepts to begin at.
        counts: Rows of each matrix that are no padding.
        stop: Limits.
        rules: Of the machines.
        arithmetic: How the objective is put together.

    Returns:
        Leading axes ``[matrix, problem]``.
    """
    matrices, rows, width = X.shape
    problems, logits = penalty.shape[1], start.shape[1]
    columns = (matrices, problems, logits)
    wide = penalty.dtype
    features = X.astype(jnp.float32).astype(wide)
    # Weights as the caller gave them, but for a factor; 1 without any.
    top = jnp.max(shares, axis=1, keepdims=True)
    top = jnp.where(top > 0, top, 1)
    weights = rounded(shares / top)[:, None, :]
    totals = (1 / top).astype(jnp.float32)[:, :, None]

    def evaluate(points: Float[Array, "column p"]) -> Evaluation:
        theta = rounded(points).reshape(*columns, width + 1)
        flat = theta[..., :-1].reshape(matrices, problems * logits, width)
        z = rounded(jnp.swapaxes(flat @ jnp.swapaxes(features, 1, 2), 1, 2))
        z = jnp.swapaxes(z.reshape(matrices, rows, problems, logits), 1, 2)
        z = rounded(z + theta[..., None, :, -1]).astype(jnp.float32)
        losses, residual = rounded_terms(z, codes[:, None, :])
        losses = rounded(losses * weights).astype(jnp.float32)
        loss = pairwise_sum(losses, counts) / totals[..., 0]
        residual = rounded(residual * weights[..., None]) / totals[..., None].astype(wide)
        residual = rounded(residual).astype(jnp.float32)
        one = logits == 1
        balance = (
            pairwise_sum(residual[..., 0], counts)[..., None] if one else running_sum(residual)
        )
        turned = jnp.swapaxes(residual, 2, 3).reshape(matrices, problems * logits, rows)
        slope = (turned.astype(wide) @ features).astype(jnp.float32)
        return arithmetic.evaluation(
            points,
            loss.reshape(-1),
            slope.reshape(-1, logits, width),
            balance.reshape(-1, logits),
            penalty.reshape(-1),
            None,
        )

    begun = jnp.broadcast_to(start[:, None, :, None], (*columns, 1))
    points = jnp.concatenate([jnp.zeros((*columns, width), wide), begun], axis=3)
    machines = run_machines(
        evaluate, points.reshape(matrices * problems, -1), with_dual=False, stop=stop, rules=rules
    )
    return end_points(machines, columns)
