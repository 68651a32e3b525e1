"""Divide checked problems into fits, and fits into groups that one compiled program solves.

A *fit* is one subset of one problem, for all C. It is solved in the coordinates of its rows where
they are at most half as many as the features (few-shot draws), else in those of the features. A
*group* is what one program solves: the fits of one feature matrix that hold the same classes, or up
to a few dozen few-shot matrices of one shape from any number of tasks. Groups share nothing, so
they run side by side, and a fit's result depends on its own rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geneb_jax_probes.errors import ProbeDataError
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.shapes import matrices_per_call, small_rows

__all__ = [
    "FeatureGroup",
    "Fit",
    "Plan",
    "RowGroup",
    "make_plan",
    "one_fit",
    "row_groups",
    "solved_by_rows",
]

#: A subset of at least this share of the rows is a mask over X, a smaller one is copied out: a
#: masked fit pays for all rows of a pass, a copied one for the copy and a pass of its own.
_MASKED_SHARE = 0.25


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
    rows: Int[np.ndarray, " row"] | None
    codes: Int[np.ndarray, " row"]
    present: Int[np.ndarray, " class"]
    shares: Float[np.ndarray, " row"]
    weight_sum: float

    @property
    def logits(self) -> int:
        """Logits a problem: 1 for two classes, else K."""
        return 1 if len(self.present) == 2 else len(self.present)

    @property
    def base_intercept(self) -> Float[np.ndarray, " logit"]:
        """Intercepts at which the weights zero are best: the log of class shares."""
        chance = np.log(np.bincount(self.codes, weights=self.shares))
        return chance[1:] - chance[0] if self.logits == 1 else chance - chance.mean()


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Fits over one X that hold the same classes.

    Attributes:
        fits: The fits.
        rows: Rows of X to copy out; None where each fit is a mask over all of X.
    """

    fits: tuple[Fit, ...]
    rows: Int[np.ndarray, " row"] | None


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Fits whose matrices have one padded shape, from any problems of one width.

    Attributes:
        fits: The fits, at most ``capacity``.
        rows: Rows that each matrix is padded to.
        capacity: Matrices of one program; those beyond the fits are empty and end at once.
    """

    fits: tuple[Fit, ...]
    rows: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Groups by the coordinates they are solved in, and the fits that hold one class."""

    feature_groups: list[FeatureGroup]
    row_groups: list[RowGroup]
    one_class: list[Fit]


def one_fit(problem: Problem, index: int, subset: int) -> Fit:
    """One subset of a problem, of which ``index`` is the number.

    Raises:
        ProbeDataError: All its rows have weight zero.
    """
    rows = problem.subsets[subset]
    chosen = problem.codes if rows is None else problem.codes[rows]
    weights = problem.row_weights(subset)
    if weights is not None and not weights.all():
        # Rows of weight zero are no rows: a class that only they hold is not there.
        at = np.flatnonzero(weights)
        rows = at if rows is None else rows[at]
        chosen, weights = chosen[at], weights[at]
    if not len(chosen):
        raise ProbeDataError(f"subset {subset} holds no row of positive weight")
    present, codes = np.unique(chosen, return_inverse=True)
    total = float(len(chosen)) if weights is None else float(weights.sum())
    shares = np.full(len(chosen), 1.0 / total) if weights is None else weights / total
    return Fit(index, subset, rows, codes.astype(np.int32), present, shares, total)


def solved_by_rows(rows: int, width: int, most_rows: int) -> bool:
    """Whether the coordinates of so many rows are the better ones.

    A pass costs 2 n d products a logit by features; by rows 2 n^2 with the Gram matrix and n d for
    max|g|. They are equal at 2 n = d.
    """
    return 2 * rows <= width and rows <= most_rows


def make_plan(
    problems: Sequence[Problem],
    *,
    most_rows: int,
    platform: str,
    any_width_rows: int = 0,
    by_features: Sequence[bool] = (),
) -> Plan:
    """Group every subset of every problem by how it is to be solved.

    Args:
        problems: The problems.
        most_rows: Most rows that the solver solves in their own coordinates.
        platform: Where the programs run: decides how many few-shot matrices share one.
        any_width_rows: Most rows that it solves as a small matrix, few as the features may be.
        by_features: Of each problem whether the Gram matrix of its rows is no good; none by
            default.

    Raises:
        ProbeDataError: A subset whose rows all have weight zero.
    """
    in_features: list[Fit] = []
    by_rows: list[Fit] = []
    one_class: list[Fit] = []
    for index, problem in enumerate(problems):
        width = problem.X.shape[1]
        never = bool(by_features) and by_features[index]
        for subset in range(len(problem.subsets)):
            fit = one_fit(problem, index, subset)
            count = len(fit.codes)
            if len(fit.present) == 1:
                one_class.append(fit)
            elif never:
                in_features.append(fit)
            elif count <= any_width_rows or solved_by_rows(count, width, most_rows):
                by_rows.append(fit)
            else:
                in_features.append(fit)
    return Plan(
        _feature_groups(in_features, problems),
        row_groups(by_rows, [problem.X.shape[1] for problem in problems], platform),
        one_class,
    )


def _feature_groups(fits: list[Fit], problems: Sequence[Problem]) -> list[FeatureGroup]:
    """Fits over one X with one set of classes; small subsets by themselves."""
    groups = []
    shared: dict[tuple[int, bytes], list[Fit]] = {}
    for fit in fits:
        rows = len(problems[fit.problem].codes)
        if fit.rows is None or len(fit.rows) >= _MASKED_SHARE * rows:
            shared.setdefault((fit.problem, fit.present.tobytes()), []).append(fit)
        else:
            groups.append(FeatureGroup((fit,), fit.rows))
    return groups + [FeatureGroup(tuple(members), None) for members in shared.values()]


def row_groups(fits: Sequence[Fit], widths: Sequence[int], platform: str) -> list[RowGroup]:
    """Few-shot matrices of one padded shape, a fixed number a program.

    Args:
        fits: The fits.
        widths: Features of each problem.
        platform: Where the programs run.
    """
    alike: dict[tuple[int, int, int], list[Fit]] = {}
    for fit in fits:
        shape = small_rows(len(fit.codes)), widths[fit.problem]
        alike.setdefault((*shape, fit.logits), []).append(fit)
    groups: list[RowGroup] = []
    for (rows, width, _), members in alike.items():
        count = matrices_per_call(rows, width, platform)
        groups.extend(
            RowGroup(tuple(members[at : at + count]), rows, count)
            for at in range(0, len(members), count)
        )
    return groups
