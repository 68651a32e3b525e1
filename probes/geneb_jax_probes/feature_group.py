"""Bring the fits of one feature matrix to a lane and solve them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, precondition, solve_features
from geneb_jax_probes.plan import Fit
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import aligned_zeros, block_rows_for, row_capacity
from geneb_jax_probes.solutions import Solutions

__all__ = ["FeatureGroup", "solve_feature_group"]

#: Penalties (values of C) that share one program of the exact solver: each needs a factor [d, d].
_PENALTIES_PER_CALL = 5
#: Rows of a block of the Gram product, and rows a feature that are enough to build it from.
_GRAM_ROWS = 1024
_GRAM_ROWS_A_FEATURE = 16


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
    mean = np.zeros(width)
    if settings.exact:
        # The intercept is free, so centring leaves the minimum where it is, and better seen.
        mean = source.mean(axis=0, dtype=np.float64)
        np.subtract(source, mean.astype(source.dtype), out=X[:rows], casting="same_kind")
        mean = mean.astype(source.dtype).astype(np.float64)
    else:
        X[:rows] = source
    codes = np.zeros(capacity, np.int32)
    columns = np.zeros((capacity, len(group.fits)))
    for column, fit in zip(columns.T, group.fits, strict=True):
        at = np.arange(rows) if fit.rows is None or group.rows is not None else fit.rows
        codes[at] = fit.codes
        np.add.at(column, at, fit.shares)
    return _Packed(X, codes, columns, mean, rows)


def _gram(packed: _Packed, X: Any, lane: Lane) -> Any:
    """The Gram matrix of the mean, from evenly spread blocks where rows abound."""
    rows, width = packed.rows, packed.X.shape[1]
    blocks = -(-rows // _GRAM_ROWS)
    stride = max(1, rows // (_GRAM_ROWS_A_FEATURE * width))
    weights = np.zeros(len(packed.X), np.float32)
    sampled = np.arange(rows) // _GRAM_ROWS % stride == 0
    weights[:rows] = 1.0 / np.count_nonzero(sampled)
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
    X, codes = lane.put(packed.X, owned=True), lane.put(packed.codes)
    gram = _gram(packed, X, lane) if settings.exact else None
    chances = [np.bincount(fit.codes, weights=fit.shares) for fit in group.fits]
    curvature = float(np.mean([np.mean(one * (1 - one)) for one in chances]))
    start = np.stack([fit.base_intercept for fit in group.fits])
    start = start if settings.exact else np.zeros_like(start)
    sums = np.array([fit.weight_sum for fit in group.fits])
    state = np.dtype(lane.state_dtype)
    block_rows = block_rows_for(problem.X.shape[1], lane.platform)
    per_call = _PENALTIES_PER_CALL if settings.exact else len(settings.strengths)
    for first in range(0, len(settings.strengths), per_call):
        strengths = settings.strengths[first : first + per_call]
        # Columns run over C, then over subsets: the fits of one C share a factor.
        penalty = 1.0 / (strengths[:, None] * sums[None, :])
        shares = packed.columns
        if shares.shape[1] > 1:
            shares = np.tile(shares, (1, len(strengths)))
        preconditioner: Preconditioner | None = None
        if gram is not None:
            preconditioner = precondition(
                gram, lane.put(penalty.mean(axis=1)), lane.put(np.asarray(curvature, state))
            )
        ended: Ended = lane.call(
            solve_features,
            X,
            codes,
            lane.put(shares.astype(settings.dtype)),
            lane.put(penalty.reshape(-1).astype(state)),
            lane.put(np.tile(start, (len(strengths), 1)).astype(state)),
            preconditioner,
            lane.put(np.int32(-(-packed.rows // block_rows))),
            lane.put(np.asarray(settings.norm_tol, state)),
            lane.put(np.asarray(settings.max_iter, state)),
            compute=settings.dtype,
            block_rows=block_rows,
            rules=settings.rules,
        )
        for i in range(len(strengths)):
            for s, fit in enumerate(group.fits):
                at = i * len(group.fits) + s
                solutions.put(fit, first + i, ended, (at,), ended.weights[at], packed.mean)
