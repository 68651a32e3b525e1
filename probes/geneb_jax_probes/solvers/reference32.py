"""scikit-learn 1.9 and later on float32 features: the reference's steps in its arithmetic.

Up to 1.8 ``LogisticRegression(solver="lbfgs")`` made float64 of its features. From 1.9 float32
features stay so (``linear_model/_logistic.py``, ``_linear_loss.py``): the weights are rounded to
float32 before every product, pointwise losses are computed in double and stored as float32, means,
``X^T g`` and the penalty are float32, and only L-BFGS-B itself moves in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from geneb_jax_kernels.rounded_loss import (
    PAIRWISE_ROWS,
    rounded,
    rounded_terms,
    squared_length,
)
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.machines import REFERENCE as RULES
from geneb_jax_probes.lbfgs.machines import Evaluation, Rules
from geneb_jax_probes.matrix.arithmetic import Arithmetic
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.few_rows import FewRows
from geneb_jax_probes.matrix.held_matrix import hold
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.matrix.small_features import minimise_small
from geneb_jax_probes.plan import FeatureGroup
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.reference import Reference

__all__ = ["AS_FLOAT32", "REFERENCE32", "Reference32"]


def _terms(
    z: Float[Array, "row problem logit"],
    codes: Int[Array, "row 1"],
    share: Float[Array, "row problem_or_one"],
) -> tuple[Float[Array, "row problem"], Float[Array, "row problem logit"]]:
    """Stored as float32, before and after the division by n."""
    losses, residual = rounded_terms(z, codes)
    return losses * share, (residual * share[..., None]).astype(jnp.float32)


def _evaluation(
    points: Float[Array, "problem p"],
    loss: Float[Array, " problem"],
    slope: Float[Array, "problem logit dim"],
    balance: Float[Array, "problem logit"],
    penalty: Float[Array, " problem"],
    preconditioner: None,
) -> Evaluation:
    """Mean loss, penalty and every entry of the gradient are float32; their sum is not."""
    del preconditioner
    wide, logits = points.dtype, balance.shape[1]
    coef = rounded(points).reshape(points.shape[0], logits, -1)[..., :-1]
    # Classes are contiguous in scikit-learn's vector of weights.
    squares = squared_length(jnp.swapaxes(coef, 1, 2).reshape(len(coef), -1))
    value = rounded(loss.astype(wide)) + rounded(rounded(0.5 * penalty) * squares)
    pull = rounded(rounded(penalty)[:, None, None] * coef)
    parts = [rounded(rounded(slope.astype(wide)) + pull), rounded(balance.astype(wide))[..., None]]
    gradient = jnp.concatenate(parts, axis=2).reshape(points.shape)
    return Evaluation(value, gradient, None, jnp.max(jnp.abs(gradient), axis=1))


AS_FLOAT32 = Arithmetic(_terms, _evaluation, wide_shares=True)


class Reference32(Reference):
    """scikit-learn 1.9's steps: in float32 on float32 features, on others the reference's own."""

    name = "reference32"
    decides_apart = True

    def default_dtype(self, features: np.dtype | None) -> Dtype:
        """float32 of float32; float64 of everything else, as scikit-learn's checks make it."""
        return "float32" if features == np.float32 else "float64"

    def rules_when_packed(self, dtype: Dtype) -> Rules | None:
        """None: packed programs round to float32 nowhere."""
        del dtype
        return None

    def rows_at_any_width(self, dtype: Dtype) -> int:
        """As many as NumPy adds up in one block, an order that is kept for small matrices."""
        return PAIRWISE_ROWS if dtype == "float32" else 0

    def over(
        self, group: FeatureGroup, layout: Layout, settings: Settings, lane: Lane
    ) -> Callable[[Columns], EndPoints]:
        """L-BFGS over the matrix on its lane, in float32."""
        if settings.dtype == "float64":
            return super().over(group, layout, settings, lane)
        held = hold(layout, lane, settings.lane_bytes(lane))
        return lambda columns: held.minimise(
            columns,
            preconditioner=None,
            compute="float32",
            rules=RULES,
            stop=self.stop(settings, lane),
            arithmetic=AS_FLOAT32,
        )

    def solve_rows(self, matrices: FewRows, settings: Settings) -> EndPoints:
        """L-BFGS over the weights of small matrices."""
        if settings.dtype == "float64":
            return super().solve_rows(matrices, settings)
        lane = matrices.lane
        ended = lane.call(
            minimise_small,
            lane.put(matrices.X),
            lane.put(matrices.codes),
            lane.put(matrices.shares),
            lane.put(matrices.penalty),
            lane.put(matrices.start),
            lane.put(np.count_nonzero(matrices.shares, axis=1).astype(np.int32)),
            self.stop(settings, lane),
            rules=RULES,
            arithmetic=AS_FLOAT32,
        )
        return ended

    def row_weights(
        self,
        matrices: FewRows,
        matrix: int,
        solved: Float[np.ndarray, "strength logit _"],
        settings: Settings,
    ) -> Float[np.ndarray, "strength logit dim"]:
        """Small matrices are solved for the weights themselves, in float32."""
        if settings.dtype == "float64":
            return super().row_weights(matrices, matrix, solved, settings)
        return solved


REFERENCE32 = Reference32()
