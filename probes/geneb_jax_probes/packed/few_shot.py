"""Fits of few rows beside packed ones: in the coordinates of their rows, tasks together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from geneb_jax_probes.feature_rows import FeatureRows
from geneb_jax_probes.fits import FitCollector
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.plan import Fit, row_groups, solved_by_rows
from geneb_jax_probes.row_groups import solve_row_group
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["solve_by_rows", "split_by_rows"]


def split_by_rows(
    fits: Sequence[Fit], features: FeatureRows, solver: Solver
) -> tuple[list[Fit], list[Fit]]:
    """Fits of one task that are solved by their rows, and the others."""
    width = features.shape[1]
    few = [
        len(fit.present) > 1 and solved_by_rows(len(fit.codes), width, solver.most_rows)
        for fit in fits
    ]
    return (
        [fit for fit, is_few in zip(fits, few, strict=True) if is_few],
        [fit for fit, is_few in zip(fits, few, strict=True) if not is_few],
    )


def solve_by_rows(
    parts: Sequence[tuple[FeatureRows, Sequence[Fit]]],
    collectors: Mapping[int, FitCollector],
    solver: Solver,
    settings: Settings,
    lane: Lane,
) -> None:
    """Solve the few-shot fits of many tasks.

    Args:
        parts: Features of each task, and its fits.
        collectors: Where solutions go, by the fits' own numbers of problems.
        solver: What solves them.
        settings: Of the call.
        lane: Where.
    """
    features: list[Float[np.ndarray, "_ _"]] = []
    fits: list[Fit] = []
    owners: list[FitCollector] = []
    for rows, some in parts:
        if not some:
            continue
        every = np.arange(len(rows))
        used = np.unique(np.concatenate([every if f.rows is None else f.rows for f in some]))
        for fit in some:
            at = np.searchsorted(used, every if fit.rows is None else fit.rows)
            fits.append(replace(fit, problem=len(features), rows=at))
        owners.append(collectors[some[0].problem])
        features.append(rows.matrix[rows.rows[used]])
    widths = [X.shape[1] for X in features]
    for group in row_groups(fits, widths, lane.platform):
        solve_row_group(group, features, solver, settings, owners, lane)
