"""Solve the fits of many problems: groups go to a solver on a lane, its end points into fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geneb_jax_probes.fits import FitCollector, LogisticFits
from geneb_jax_probes.lanes import Lane, lanes, run_on_lanes
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.layout import Columns, lay_out
from geneb_jax_probes.plan import FeatureGroup, RowGroup, make_plan
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.row_groups import solve_row_group
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["solve_problems"]


def solve_problems(
    problems: Sequence[Problem], solver: Solver, settings: Settings
) -> list[LogisticFits]:
    """Fit every (problem, subset, C); what is computed in float32 says so, whatever was asked."""
    if lanes()[0].state_dtype == "float32":
        settings = replace(settings, dtype="float32")
    plan = make_plan(
        problems,
        most_rows=solver.most_rows,
        any_width_rows=solver.rows_at_any_width(settings.dtype),
        by_features=[solver.centres and problem.uneven for problem in problems],
        platform=lanes()[0].platform,
    )
    call = _Call(problems, solver, settings, [FitCollector(p, solver, settings) for p in problems])
    for fit in plan.one_class:
        call.collectors[fit.problem].put_one_class(fit)
    groups: list[FeatureGroup | RowGroup] = [*plan.feature_groups, *plan.row_groups]
    run_on_lanes(call.solve, groups, call.cost)
    return [collector.finished() for collector in call.collectors]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: its problems, how they are solved, and where the fits go."""

    problems: Sequence[Problem]
    solver: Solver
    settings: Settings
    collectors: Sequence[FitCollector]

    def cost(self, group: FeatureGroup | RowGroup) -> float:
        """Multiplications of a pass over the group: what the costliest-first order goes by."""
        elements = sum(len(fit.codes) * self.problems[fit.problem].X.shape[1] for fit in group.fits)
        return float(elements) * group.fits[0].logits

    def solve(self, group: FeatureGroup | RowGroup, lane: Lane) -> None:
        """Solve every (fit, C) of one group and hand the solutions in."""
        if isinstance(group, RowGroup):
            features = [problem.X for problem in self.problems]
            solve_row_group(group, features, self.solver, self.settings, self.collectors, lane)
        else:
            self._by_features(group, lane)

    def _by_features(self, group: FeatureGroup, lane: Lane) -> None:
        solver, settings = self.solver, self.settings
        problem = self.problems[group.fits[0].problem]
        layout = lay_out(group, problem, centre=solver.centres, dtype=settings.dtype)
        start = np.zeros((len(group.fits), group.fits[0].logits, layout.width + 1))
        start[..., -1] = np.stack([solver.start(fit) for fit in group.fits])
        sums = np.array([fit.weight_sum for fit in group.fits])
        penalty = layout.scale**2 / (settings.strengths[:, None] * sums[None, :])
        run = solver.over(group, layout, settings, lane)

        def solve(part: slice) -> EndPoints:
            some = penalty[part]
            # Columns run over C, then over subsets: the fits of one C share a factor.
            return run(Columns(slice(None), some, np.tile(start, (len(some), 1, 1))))

        count, elements = len(settings.strengths), layout.rows * layout.width
        logits = len(group.fits) * group.fits[0].logits
        size = solver.strengths_together(logits, elements, count)
        parts = [slice(at, min(at + size, count)) for at in range(0, count, size)]
        for part, ended in zip(parts, lane.together(solve, parts), strict=True):
            unscaled = ended._replace(norm=ended.norm / layout.scale)
            for i, c in enumerate(range(part.start, part.stop)):
                for s, fit in enumerate(group.fits):
                    at = i * len(group.fits) + s
                    weights = ended.weights[at] * layout.scale
                    self.collectors[fit.problem].put(fit, c, unscaled, (at,), weights, layout.mean)
