"""Inverses of shifted Gram matrices, in whose coordinates a search is short.

The objective is a mean of losses with second derivative about ``curvature`` where the search
begins, so in these coordinates its Hessian there is the identity, or near it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import helmert

from geneb_jax_kernels.gram import inverse_cholesky
from geneb_jax_probes.programs import program

__all__ = ["Preconditioner", "apply_factors", "contrasts", "precondition", "precondition_rows"]

#: Eigenvalues of the Gram matrix below this share of the largest are directions that the rows do
#: not have (rows are centred, may repeat, and are padded). Nothing may move along them: their
#: lengths are rounding, of either sign, and an objective that counts them has no minimum.
_NO_DIRECTION = 1e-13


class Preconditioner(NamedTuple):
    """``(curvature * G + penalty)^-1`` as inverse Cholesky factors.

    One factor serves all logits and all problems of one penalty; or, without ``curvature``, one
    factor of the Hessian itself serves one problem, all its logits and intercepts together: in the
    coordinates of :func:`contrasts`, since neither loss nor a minimum knows a sum over the logits.
    """

    factors: Float[Array, "group q q"]  # a group is a penalty or a problem; lower triangular L^-1
    curvature: Float[Array, " group"] | None


def contrasts(logits: int) -> Float[np.ndarray, "contrast logit"]:
    """Orthonormal rows that sum to zero, one fewer than logits; one logit is itself."""
    return np.ones((1, 1)) if logits == 1 else np.asarray(helmert(logits))


@program()
def precondition(
    gram: Float[Array, "dim dim"], penalties: Float[Array, " group"], curvature: Float[Array, ""]
) -> Preconditioner:
    """Factors for one Gram matrix of the mean and several penalties.

    A penalty below the rounding of the matrix is raised to it, which keeps the factor finite.
    """
    scaled = curvature.astype(gram.dtype) * gram
    # Plain numbers: of some releases the limits of a type are arrays of another one.
    limits = jnp.finfo(gram.dtype)
    rounding = 4 * float(limits.eps) * jnp.trace(scaled)
    floor = jnp.maximum(rounding, float(limits.tiny))
    shifts = jnp.maximum(penalties.astype(gram.dtype), floor)
    eye = jnp.eye(gram.shape[0], dtype=gram.dtype)
    # One after the other: side by side their temporaries would be many times the factors.
    factors = jax.lax.map(lambda shift: inverse_cholesky(scaled + shift * eye), shifts)
    return Preconditioner(factors, jnp.broadcast_to(curvature, penalties.shape))


def apply_factors(
    factors: Float[Array, "group q q"], slope: Float[Array, "problem *logit q"]
) -> Float[Array, "problem *logit q"]:
    """``L^-T L^-1`` times vectors, each with the factor of its group."""
    groups = slope.reshape(factors.shape[0], -1, slope.shape[-1]).astype(factors.dtype)
    half = jnp.einsum("fij,fkj->fki", factors, groups)
    return jnp.einsum("fij,fki->fkj", factors, half).reshape(slope.shape).astype(slope.dtype)


def precondition_rows(
    gram: Float[Array, "matrix row row"],
    share: Float[Array, " matrix"],
    penalty: Float[Array, "matrix problem"],
    curvature: Float[Array, " matrix"],
    *,
    batched: bool,
) -> Callable[[Float[Array, "matrix problem logit row"]], Float[Array, "matrix problem logit row"]]:
    """``(curvature * K * share + penalty)^-1`` of small Gram matrices K, by their eigenvectors.

    Args:
        gram: K.
        share: Mean row share, 1 / n.
        penalty: Of each problem.
        curvature: Second derivative of the loss where the search begins.
        batched: Whether a decomposition may take many matrices at once
            (:attr:`~geneb_jax_probes.lanes.Lane.batches_lapack`).
    """
    scaled = (curvature * share)[:, None, None] * gram
    values, basis = jnp.linalg.eigh(scaled) if batched else jax.lax.map(jnp.linalg.eigh, scaled)
    real = (values > _NO_DIRECTION * values[:, -1:]).astype(values.dtype)
    shifted = jnp.maximum(values, 0)[:, None, None, :] + penalty[:, :, None, None]
    factor = real[:, None, None, :] / shifted

    def in_basis(
        slope: Float[Array, "matrix problem logit row"],
    ) -> Float[Array, "matrix problem logit row"]:
        along = jnp.einsum("tnm,tcln->tclm", basis, slope)
        return jnp.einsum("tnm,tclm->tcln", basis, along * factor)

    return in_basis
