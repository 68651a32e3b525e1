"""What a pass over X becomes: the objective with its gradient, rounded in one way or another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from geneb_jax_kernels.logistic_loss import weighted_terms
from geneb_jax_probes.lbfgs.machines import Evaluation
from geneb_jax_probes.matrix.preconditioners import Preconditioner, apply_factors, contrasts

__all__ = ["PLAIN", "Arithmetic", "evaluation"]


def evaluation(
    points: Float[Array, "problem p"],
    loss: Float[Array, " problem"],
    slope: Float[Array, "problem logit dim"],
    balance: Float[Array, "problem logit"],
    penalty: Float[Array, " problem"],
    preconditioner: Preconditioner | None,
) -> Evaluation:
    """Add the penalty to a pass over X, and the preconditioned gradient.

    Args:
        points: Where X was read, p running over (logit, dim + 1).
        loss: Mean loss.
        slope: Its gradient by the weights.
        balance: Its gradient by the intercepts.
        penalty: ``1 / (C n)`` of each problem.
        preconditioner: None for none.
    """
    logits = balance.shape[1]
    coef = points.reshape(points.shape[0], logits, -1)[..., :-1]
    value = loss + 0.5 * penalty * jnp.sum(coef * coef, axis=(1, 2))
    slope = slope + penalty[:, None, None] * coef

    def joined(
        part: Float[Array, "problem logit dim"], last: Float[Array, "problem logit"]
    ) -> Float[Array, "problem p"]:
        return jnp.concatenate([part, last[..., None]], axis=2).reshape(points.shape)

    gradient = joined(slope, balance)
    norm = jnp.max(jnp.abs(gradient), axis=1)
    if preconditioner is None:
        return Evaluation(value, gradient, None, norm)
    factors, curvature = preconditioner
    if curvature is None:
        basis = jnp.asarray(contrasts(logits), points.dtype)
        inside = basis @ gradient.reshape(len(points), logits, -1)
        vector = apply_factors(factors, inside.reshape(len(points), -1))
        vector = basis.T @ vector.reshape(inside.shape)
        return Evaluation(value, vector.reshape(points.shape), gradient, norm)
    curvature = jnp.repeat(curvature, len(points) // len(curvature))
    vector = joined(apply_factors(factors, slope), balance / curvature[:, None])
    return Evaluation(value, vector, gradient, norm)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Where numbers are rounded between the weights and the objective; static in programs.

    Attributes:
        terms: As :func:`~geneb_jax_kernels.logistic_loss.weighted_terms`.
        evaluation: As :func:`evaluation`.
        wide_shares: Whether row shares stay float64 where products are float32.
    """

    terms: Callable[..., tuple[Array, Array]]
    evaluation: Callable[..., Evaluation]
    wide_shares: bool


#: Nothing is rounded but what the dtypes of products and sums round.
PLAIN = Arithmetic(weighted_terms, evaluation, wide_shares=False)
