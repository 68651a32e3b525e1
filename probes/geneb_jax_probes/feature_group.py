"""Bring the fits of one feature matrix to a lane and solve them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, precondition, solve_features
from geneb_jax_probes.machines import CODES, Rules
from geneb_jax_probes.plan import Fit
from geneb_jax_probes.problem import Dtype, Problem
from geneb_jax_probes.scaling import centre_and_scale
from geneb_jax_probes.settings import POLISH, POLISH_ABOVE, Settings
from geneb_jax_probes.shapes import aligned_zeros, block_rows_for, row_capacity
from geneb_jax_probes.solutions import Solutions

__all__ = ["FeatureGroup", "solve_feature_group"]

#: Penalties (values of C) that share one program of the exact solver: each needs a factor [d, d].
_PENALTIES_PER_CALL = 5
#: Rows of a block of the Gram product, and rows a feature that are enough to build it from.
_GRAM_ROWS = 1024
_GRAM_ROWS_A_FEATURE = 16
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Fits over one X that hold the same classes.

    Attributes:
        fits: The fits.
        rows: Rows of X to copy out; None where each fit is a mask over all of X.
    """

    fits: tuple[Fit, ...]
    rows: np.ndarray | None


@dataclass(frozen=True, slots=True)
class _Packed:
    """One matrix, padded, and the fits over it as columns."""

    X: np.ndarray  # [capacity, d]
    codes: np.ndarray  # [capacity]
    columns: np.ndarray  # [capacity, fit] float64 row shares
    mean: np.ndarray  # [d], subtracted from X
    scale: float  # X is multiplied by it, a power of two
    rows: int


def _pack(group: FeatureGroup, problem: Problem, settings: Settings, lane: Lane) -> _Packed:
    source = problem.X if group.rows is None else problem.X[group.rows]
    rows, width = source.shape
    capacity = row_capacity(
        rows, max(block_rows_for(width, lane.platform), _GRAM_ROWS), lane.platform
    )
    # float32 features are widened block by block as they are read, not here: half the memory.
    narrow = settings.dtype == "float32" or (source.dtype == np.float32 and not settings.exact)
    X = aligned_zeros((capacity, width), np.float32 if narrow else np.float64)
    mean, scale = np.zeros(width), 1.0
    if settings.exact:
        # The intercept is free, so centring leaves the minimum where it is, and better seen.
        mean, scale = centre_and_scale(source)
        np.subtract(source, mean.astype(source.dtype), out=X[:rows], casting="same_kind")
        if scale != 1.0:
            X[:rows] *= np.asarray(scale, X.dtype)
    else:
        X[:rows] = source
    codes = np.zeros(capacity, np.int32)
    columns = np.zeros((capacity, len(group.fits)))
    for column, fit in zip(columns.T, group.fits, strict=True):
        at = np.arange(rows) if fit.rows is None or group.rows is not None else fit.rows
        codes[at] = fit.codes
        np.add.at(column, at, fit.shares)
    return _Packed(X, codes, columns, mean, scale, rows)


@dataclass(frozen=True, slots=True)
class _Resident:
    """A packed matrix on its lane, with what every call over it needs."""

    packed: _Packed
    X: Any
    codes: Any
    gram: Any  # of the mean [d, d]; None for the reference
    curvature: float
    settings: Settings
    lane: Lane

    def solve(
        self,
        penalty: np.ndarray,
        start: np.ndarray,
        preconditioner: Preconditioner | None,
        compute: Dtype,
        rules: Rules,
    ) -> Ended:
        """Run the machines of ``penalty [C, fit]`` from ``start [C * fit, logit, d + 1]``."""
        lane, packed = self.lane, self.packed
        block_rows = block_rows_for(packed.X.shape[1], lane.platform)
        shares = packed.columns
        if shares.shape[1] > 1:
            shares = np.tile(shares, (1, len(penalty)))
        ended: Ended = lane.call(
            solve_features,
            self.X,
            self.codes,
            lane.put(shares.astype(compute)),
            lane.state(penalty.reshape(-1)),
            lane.state(start),
            preconditioner,
            lane.put(np.int32(-(-packed.rows // block_rows))),
            lane.state(self.settings.norm_tol),
            lane.state(self.settings.max_iter),
            compute=compute,
            block_rows=block_rows,
            rules=rules,
        )
        return ended

    def solve_exactly(self, penalty: np.ndarray, start: np.ndarray) -> Ended:
        """The same, preconditioned; in float64 where float32 stops short of the minimum."""
        lane, settings = self.lane, self.settings
        factors = precondition(
            self.gram, lane.state(penalty.mean(axis=1)), lane.state(self.curvature)
        )
        ended = self.solve(penalty, start, factors, settings.dtype, settings.rules)
        if settings.dtype == "float32" and lane.state_dtype == "float64":
            stuck = (ended.ending != CODES.index("converged")) & (ended.gap > POLISH_ABOVE)
            if stuck.any():
                reached = np.concatenate([ended.weights, ended.intercept[..., None]], axis=2)
                finer = self.solve(penalty, reached, factors, "float64", POLISH)
                ended = finer._replace(steps=ended.steps + finer.steps)
        return ended


def _gram(packed: _Packed, X: Any, lane: Lane) -> Any:
    """The Gram matrix of the mean, from evenly spread blocks where rows abound."""
    rows, width = packed.rows, packed.X.shape[1]
    blocks = -(-rows // _GRAM_ROWS)
    stride = max(1, rows // (_GRAM_ROWS_A_FEATURE * width))
    shares = packed.columns.mean(axis=1)
    sampled = np.arange(len(shares)) // _GRAM_ROWS % stride == 0
    weights = (shares / max(float(shares[sampled].sum()), _TINY)).astype(np.float32)
    return weighted_gram(
        X,
        lane.put(weights),
        lane.put(np.int32(blocks)),
        lane.put(np.int32(stride)),
        block_rows=_GRAM_ROWS,
    )


def solve_feature_group(
    group: FeatureGroup,
    problem: Problem,
    settings: Settings,
    lane: Lane,
    solutions: Solutions,
) -> None:
    """Solve every (fit, C) of one group and write the solutions."""
    packed = _pack(group, problem, settings, lane)
    X = lane.put(packed.X, owned=True)
    chances = [np.bincount(fit.codes, weights=fit.shares) for fit in group.fits]
    resident = _Resident(
        packed=packed,
        X=X,
        codes=lane.put(packed.codes),
        gram=_gram(packed, X, lane) if settings.exact else None,
        curvature=float(np.mean([np.mean(one * (1 - one)) for one in chances])),
        settings=settings,
        lane=lane,
    )
    start = np.zeros((len(group.fits), group.fits[0].logits, packed.X.shape[1] + 1))
    if settings.exact:
        start[..., -1] = np.stack([fit.base_intercept for fit in group.fits])
    sums = np.array([fit.weight_sum for fit in group.fits])
    per_call = _PENALTIES_PER_CALL if settings.exact else len(settings.strengths)
    for first in range(0, len(settings.strengths), per_call):
        strengths = settings.strengths[first : first + per_call]
        # Columns run over C, then over subsets: the fits of one C share a factor.
        penalty = packed.scale**2 / (strengths[:, None] * sums[None, :])
        begin = np.tile(start, (len(strengths), 1, 1))
        if settings.exact:
            ended = resident.solve_exactly(penalty, begin)
        else:
            ended = resident.solve(penalty, begin, None, settings.dtype, settings.rules)
        scaled = ended._replace(norm=ended.norm / packed.scale)
        for i in range(len(strengths)):
            for s, fit in enumerate(group.fits):
                at = i * len(group.fits) + s
                weights = ended.weights[at] * packed.scale
                solutions.put(fit, first + i, scaled, (at,), weights, packed.mean)
