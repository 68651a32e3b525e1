"""Few-shot matrices of many problems, padded to one shape and brought to a lane together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import Rules
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.layout import centre_and_scale
from geneb_jax_probes.matrix.row_space import minimise_rows
from geneb_jax_probes.plan import Fit, RowGroup
from geneb_jax_probes.problem import Dtype

__all__ = ["FewRows", "pack_rows"]


@dataclass(frozen=True, slots=True)
class FewRows:
    """Matrices of one shape, laid out on the host for one program.

    Everything is computed in float64 where the hardware has it, also for float32 features: the
    matrices are small, and rounding decides rows near the boundary.

    Attributes:
        lane: Where they are solved.
        X: Features; padding rows and matrices are zero.
        codes: Class of each row.
        shares: Row weights.
        penalty: ``1 / (C n)``, scaled.
        start: Intercepts to begin at.
        mean: Subtracted from the features of each matrix.
        scale: The features of each matrix are multiplied by it.
    """

    lane: Lane
    X: Float[np.ndarray, "matrix row dim"]
    codes: Int[np.ndarray, "matrix row"]
    shares: Float[np.ndarray, "matrix row"]
    penalty: Float[np.ndarray, "matrix strength"]
    start: Float[np.ndarray, "matrix logit"]
    mean: Float[np.ndarray, "matrix dim"]
    scale: Float[np.ndarray, " matrix"]

    def minimise(self, *, preconditioned: bool, rules: Rules, stop: Stop) -> EndPoints:
        """Run L-BFGS for every matrix and strength; weights are multiples of the rows.

        Args:
            preconditioned: Whether to make the Hessian at the start the identity.
            rules: Of the machines.
            stop: Limits.
        """
        lane = self.lane
        return lane.call(
            minimise_rows,
            lane.put(self.X),
            lane.put(self.codes),
            lane.put(self.shares),
            lane.put(self.penalty),
            lane.put(self.start),
            stop,
            rules=rules,
            preconditioned=preconditioned,
            batched_lapack=lane.batches_lapack,
        )

    def weights_of(
        self, matrix: int, multiples: Float[np.ndarray, "strength logit row"]
    ) -> Float[np.ndarray, "strength logit dim"]:
        """Weights of the centred features, from multiples of the rows of one matrix."""
        X = self.X[matrix].astype(self.shares.dtype, copy=False)
        weights: np.ndarray = self.scale[matrix] * (multiples @ X)
        return weights


def pack_rows(
    group: RowGroup,
    features: Sequence[Float[np.ndarray, "_ _"]],
    strengths: Float[np.ndarray, " strength"],
    lane: Lane,
    *,
    centre: bool,
    dtype: Dtype,
    start: Callable[[Fit], Float[np.ndarray, " logit"]],
) -> FewRows:
    """Lay out a group.

    Args:
        group: The fits.
        features: Of each problem that they are of.
        strengths: Values of C.
        lane: Where the matrices will be solved.
        centre: Whether to centre and scale them.
        dtype: Precision of the fits: a centred row has more digits than float32 where the row had.
        start: The intercepts that a fit begins at.
    """
    first = group.fits[0]
    width = features[first.problem].shape[1]
    wide = any(features[fit.problem].dtype == np.float64 for fit in group.fits)
    wide = wide or (centre and dtype == "float64")
    state = np.dtype(lane.state_dtype)
    shape = (group.capacity, group.rows)
    packed = FewRows(
        lane=lane,
        X=np.zeros((*shape, width), state if wide else np.float32),
        codes=np.zeros(shape, np.int32),
        shares=np.zeros(shape, state),
        penalty=np.ones((group.capacity, len(strengths)), state),
        start=np.zeros((group.capacity, first.logits), state),
        mean=np.zeros((group.capacity, width)),
        scale=np.ones(group.capacity),
    )
    for t, fit in enumerate(group.fits):
        count = len(fit.codes)
        X = features[fit.problem]
        X = X if fit.rows is None else X[fit.rows]
        if centre:
            packed.mean[t], packed.scale[t] = centre_and_scale(X)
            kind = np.result_type(X.dtype, dtype)
            X = X.astype(kind, copy=False) - packed.mean[t].astype(kind)
            X = X * np.asarray(packed.scale[t], kind)
        packed.start[t] = start(fit)
        packed.X[t, :count] = X
        packed.codes[t, :count] = fit.codes
        packed.shares[t, :count] = fit.shares
        packed.penalty[t] = packed.scale[t] ** 2 / (strengths * fit.weight_sum)
    return packed
