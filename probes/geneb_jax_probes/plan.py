"""Divide checked problems into fits, and fits into groups that one compiled program solves.

A *fit* is one subset of one problem, for all C. It is solved in the coordinates of its rows where
they are fewer than half the features (few-shot draws), else in those of the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax_probes.problem import Problem, Solver

__all__ = ["Fit", "Plan", "make_plan"]

#: Most rows that are solved in their own coordinates; the exact solver needs their eigenbasis.
_MOST_ROWS = {"reference": 2048, "exact": 512}


@dataclass(frozen=True, slots=True)
class Fit:
    """One subset of one problem.

    Attributes:
        problem: Index of the problem.
        subset: Index of the subset in it.
        rows: Row numbers; None for all.
        codes: int32, the class of each row among the classes present, 0..K-1.
        present: Positions of those classes among the problem's.
        shares: Row weights, float64, summing to 1.
        weight_sum: What they summed to before (n without weights): the n of ``1 / (C n)``.
    """

    problem: int
    subset: int
    rows: np.ndarray | None
    codes: np.ndarray
    present: np.ndarray
    shares: np.ndarray
    weight_sum: float

    @property
    def logits(self) -> int:
        """Logits a problem: 1 for two classes, else K."""
        return 1 if len(self.present) == 2 else len(self.present)

    @property
    def base_intercept(self) -> np.ndarray:
        """Intercepts ``[logits]`` at which the weights zero are best: the log of class shares."""
        chance = np.log(np.bincount(self.codes, weights=self.shares))
        return chance[1:] - chance[0] if self.logits == 1 else chance - chance.mean()


@dataclass(frozen=True, slots=True)
class Plan:
    """Fits by the coordinates they are solved in, and those that hold one class."""

    by_features: list[Fit]
    by_rows: list[Fit]
    one_class: list[Fit]


def _one_fit(problem: Problem, index: int, subset: int) -> Fit:
    rows = problem.subsets[subset]
    chosen = problem.codes if rows is None else problem.codes[rows]
    weights = problem.row_weights(subset)
    if weights is not None and not weights.all():
        # Rows of weight zero are no rows: a class that only they hold is not there.
        at = np.flatnonzero(weights)
        rows = at if rows is None else rows[at]
        chosen, weights = chosen[at], weights[at]
    present, codes = np.unique(chosen, return_inverse=True)
    total = float(len(chosen)) if weights is None else float(weights.sum())
    shares = np.full(len(chosen), 1.0 / total) if weights is None else weights / total
    return Fit(index, subset, rows, codes.astype(np.int32), present, shares, total)


def make_plan(problems: list[Problem], solver: Solver) -> Plan:
    """One :class:`Fit` a subset, sorted by how it is to be solved."""
    plan = Plan([], [], [])
    for index, problem in enumerate(problems):
        width = problem.X.shape[1]
        for subset in range(len(problem.subsets)):
            fit = _one_fit(problem, index, subset)
            count = len(fit.codes)
            if len(fit.present) == 1:
                plan.one_class.append(fit)
            elif 2 * count <= width and count <= _MOST_ROWS[solver]:
                plan.by_rows.append(fit)
            else:
                plan.by_features.append(fit)
    return plan
