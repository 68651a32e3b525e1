"""All problems over one feature matrix, in the coordinates of the features.

A problem is a column with its own row shares and penalty; C, subset and class are folded into the
columns of one product by hand, since a mapped product is several times slower. X is read once a
tick, in the dtype it is stored in, in row blocks that stay in cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import helmert

from geneb_jax_kernels.gram import inverse_cholesky
from geneb_jax_kernels.logistic_loss import loss_and_gradient
from geneb_jax_probes.machines import (
    Found,
    Machine,
    Rules,
    begin,
    progress,
    promised,
    tick,
    trial_points,
)
from geneb_jax_probes.programs import program

__all__ = [
    "Ended",
    "Preconditioner",
    "assemble",
    "contrasts",
    "ended_of",
    "precondition",
    "run_machines",
    "solve_features",
]


class Ended(NamedTuple):
    """Solutions of the problems of one matrix (or, with a leading axis, of several)."""

    weights: Any  # [problem, logit, dim]; or [problem, logit, row]: multiples of the rows
    intercept: Any  # [problem, logit]
    value: Any  # [problem]
    norm: Any  # [problem]
    steps: Any  # [problem]
    ending: Any  # [problem]
    gap: Any  # [problem] estimated distance from the minimum, relative


class Preconditioner(NamedTuple):
    """``(curvature * G + penalty)^-1`` as inverse Cholesky factors.

    The objective is a mean of losses with second derivative about ``curvature`` where the search
    begins, so in these coordinates its Hessian there is the identity, or near it.

    One factor serves all logits and all problems of one penalty; or, without ``curvature``, one
    factor of the Hessian itself serves one problem, all its logits and intercepts together: in the
    coordinates of :func:`contrasts`, since neither loss nor a minimum knows a sum over the logits.
    """

    factors: Any  # [penalty, dim, dim] or [problem, q, q], lower triangular L^-1
    curvature: Any  # [penalty], or None


def contrasts(logits: int) -> np.ndarray:
    """Rows that are orthonormal and sum to zero ``[logits - 1, logits]``; one logit is itself."""
    return np.ones((1, 1)) if logits == 1 else np.asarray(helmert(logits))


@program()
def precondition(gram: Any, penalties: Any, curvature: Any) -> Preconditioner:
    """Factors for one Gram matrix of the mean ``[dim, dim]`` and several penalties.

    A penalty below the rounding of the matrix is raised to it, which keeps the factor finite.
    """
    scaled = curvature.astype(gram.dtype) * gram
    rounding = 4 * jnp.finfo(gram.dtype).eps * jnp.trace(scaled)
    floor = jnp.maximum(rounding, jnp.finfo(gram.dtype).tiny)
    shifts = jnp.maximum(penalties.astype(gram.dtype), floor)
    eye = jnp.eye(gram.shape[0], dtype=gram.dtype)
    # One after the other: side by side their temporaries would be many times the factors.
    factors = jax.lax.map(lambda shift: inverse_cholesky(scaled + shift * eye), shifts)
    return Preconditioner(factors, jnp.broadcast_to(curvature, penalties.shape))


def applied(factors: Any, slope: Any) -> Any:
    """``L^-T L^-1`` times vectors ``[problem, ..., dim]``, each with the factor of its group."""
    groups = slope.reshape(factors.shape[0], -1, slope.shape[-1]).astype(factors.dtype)
    half = jnp.einsum("fij,fkj->fki", factors, groups)
    return jnp.einsum("fij,fki->fkj", factors, half).reshape(slope.shape).astype(slope.dtype)


def run_machines(
    evaluate: Any, points: Any, *, with_dual: bool, tol: Any, max_iter: Any, rules: Rules
) -> Machine:
    """Tick until every machine has ended; ``points`` is ``[problem, p]``."""
    return jax.lax.while_loop(
        lambda machines: jnp.any(progress(machines).ending == 0),
        lambda machines: tick(machines, evaluate(trial_points(machines)), tol, max_iter, rules),
        begin(points, with_dual=with_dual),
    )


def assemble(
    points: Any,
    loss: Any,
    slope: Any,
    balance: Any,
    penalty: Any,
    preconditioner: Preconditioner | None,
    logits: int,
) -> Found:
    """Add the penalty to a pass over X, and the preconditioned gradient.

    Args:
        points: Where X was read at ``[problem, p]``, p running over (logit, dim + 1).
        loss: Mean loss ``[problem]``.
        slope: Its gradient by the weights ``[problem, logit, dim]``.
        balance: Its gradient by the intercepts ``[problem, logit]``.
        penalty: ``1 / (C n)`` of each problem.
        preconditioner: None for the reference.
        logits: 1 for two classes, else K.
    """
    coef = points.reshape(points.shape[0], logits, -1)[..., :-1]
    value = loss + 0.5 * penalty * jnp.sum(coef * coef, axis=(1, 2))
    slope = slope + penalty[:, None, None] * coef

    def joined(part: Any, last: Any) -> Any:
        return jnp.concatenate([part, last[..., None]], axis=2).reshape(points.shape)

    gradient = joined(slope, balance)
    norm = jnp.max(jnp.abs(gradient), axis=1)
    if preconditioner is None:
        return Found(value, gradient, None, norm)
    factors, curvature = preconditioner
    if curvature is None:
        basis = contrasts(logits).astype(points.dtype)
        inside = basis @ gradient.reshape(len(points), logits, -1)
        vector = applied(factors, inside.reshape(len(points), -1))
        vector = basis.T @ vector.reshape(inside.shape)
        return Found(value, vector.reshape(points.shape), gradient, norm)
    curvature = jnp.repeat(curvature, len(points) // len(curvature))
    vector = joined(applied(factors, slope), balance / curvature[:, None])
    return Found(value, vector, gradient, norm)


def ended_of(machines: Machine, logits: int) -> Ended:
    """What machines in the coordinates of the features ended at."""
    theta = machines.base.reshape(machines.base.shape[0], logits, -1)
    end = progress(machines)
    return Ended(
        theta[..., :-1],
        theta[..., -1],
        end.value,
        end.norm,
        end.steps,
        end.ending,
        promised(machines),
    )


@program("compute", "block_rows", "at_once", "rules")
def solve_features(
    X: Any,
    codes: Any,
    shares: Any,
    penalty: Any,
    start: Any,
    preconditioner: Preconditioner | None,
    block_count: Any,
    tol: Any,
    max_iter: Any,
    *,
    compute: str,
    block_rows: int,
    at_once: int,
    rules: Rules,
) -> Ended:
    """Solve all problems over one X.

    Args:
        X: Features ``[row, dim]``; rows beyond ``block_count`` blocks are padding.
        codes: Class of each row, int32.
        shares: Row weights ``[row, problem]`` or ``[row, 1]``, each column summing to 1.
        penalty: ``1 / (C n)`` of each problem, in the dtype that the state is kept in.
        start: Where to begin ``[problem, logit, dim + 1]``, the intercept last.
        preconditioner: For the exact solver; its factors divide the problems into equal groups.
        block_count: Blocks of ``block_rows`` rows that hold data.
        tol: Largest gradient component to stop at.
        max_iter: Step limit.
        compute: Dtype of the products with X.
        block_rows: Rows of one block.
        at_once: Blocks of one product.
        rules: Of the machines.
    """
    problems, logits, width = start.shape[0], start.shape[1], X.shape[1]

    def evaluate(points: Any) -> Found:
        theta = points.reshape(problems, logits, width + 1).astype(compute)
        loss, slope, balance = loss_and_gradient(
            X,
            codes,
            shares,
            theta[..., :-1],
            theta[..., -1],
            block_count,
            block_rows=block_rows,
            blocks_at_once=at_once,
            sums=points.dtype.name,
        )
        return assemble(points, loss, slope, balance, penalty, preconditioner, logits)

    machines = run_machines(
        evaluate,
        start.reshape(problems, -1),
        with_dual=preconditioner is not None,
        tol=tol,
        max_iter=max_iter,
        rules=rules,
    )
    return ended_of(machines, logits)
