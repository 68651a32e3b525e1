"""Solve the fits of many problems: group them, place the groups on lanes, collect the solutions.

A group is what one program solves: the fits of one feature matrix that hold the same classes, or
up to a few dozen few-shot matrices of one shape from any number of tasks. Groups share nothing, so
they run side by side, and a fit's result depends on its own rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geneb_jax_probes.devices import Lane, lanes, run_on_lanes
from geneb_jax_probes.feature_group import solve_feature_group
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.packing import FeatureGroup
from geneb_jax_probes.plan import Fit, make_plan
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.row_group import RowGroup, solve_row_group
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import matrices_per_call, small_rows
from geneb_jax_probes.solutions import Solutions

__all__ = ["solve_problems"]

#: A subset of at least this share of the rows is a mask over X, a smaller one is copied out.
_MASKED_SHARE = 0.25


def _feature_groups(fits: list[Fit], problems: Sequence[Problem]) -> list[FeatureGroup]:
    """Fits over one X with one set of classes; small subsets by themselves."""
    groups = []
    shared: dict[tuple[Any, ...], list[Fit]] = {}
    for fit in fits:
        rows = len(problems[fit.problem].codes)
        if fit.rows is None or len(fit.rows) >= _MASKED_SHARE * rows:
            shared.setdefault((fit.problem, fit.present.tobytes()), []).append(fit)
        else:
            groups.append(FeatureGroup((fit,), fit.rows))
    return groups + [FeatureGroup(tuple(members), None) for members in shared.values()]


def _row_groups(fits: list[Fit], problems: Sequence[Problem], platform: str) -> list[RowGroup]:
    """Few-shot matrices of one padded shape, a fixed number a program."""
    alike: dict[tuple[int, int, int], list[Fit]] = {}
    for fit in fits:
        width = problems[fit.problem].X.shape[1]
        alike.setdefault((small_rows(len(fit.codes)), width, fit.logits), []).append(fit)
    groups: list[RowGroup] = []
    for (rows, width, _), members in alike.items():
        count = matrices_per_call(rows, width, platform)
        groups.extend(
            RowGroup(tuple(members[at : at + count]), rows, count)
            for at in range(0, len(members), count)
        )
    return groups


def solve_problems(problems: Sequence[Problem], settings: Settings) -> list[LogisticFits]:
    """Fit every (problem, subset, C)."""
    plan = make_plan(list(problems), settings.solver)
    solutions = [Solutions(problem, settings) for problem in problems]
    for fit in plan.one_class:
        solutions[fit.problem].put_one_class(fit)
    groups: list[FeatureGroup | RowGroup] = [
        *_feature_groups(plan.by_features, problems),
        *_row_groups(plan.by_rows, problems, lanes()[0].platform),
    ]

    def work(group: FeatureGroup | RowGroup, lane: Lane) -> None:
        if isinstance(group, RowGroup):
            solve_row_group(group, problems, settings, lane, solutions)
        else:
            at = group.fits[0].problem
            solve_feature_group(group, problems[at], settings, lane, solutions[at])

    def cost(group: FeatureGroup | RowGroup) -> float:
        elements = sum(len(fit.codes) * problems[fit.problem].X.shape[1] for fit in group.fits)
        return float(elements) * group.fits[0].logits

    run_on_lanes(work, groups, cost)
    return [one.finished() for one in solutions]
