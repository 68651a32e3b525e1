"""Solve the fits of one feature matrix on a lane, kept there or streamed through it."""

from __future__ import annotations

import numpy as np

from geneb_jax_probes.devices import Lane
from geneb_jax_probes.exact_fits import solve_exactly
from geneb_jax_probes.feature_solver import Ended
from geneb_jax_probes.packing import Columns, FeatureGroup, Layout, lay_out
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.resident import Resident, put_resident
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solutions import Solutions
from geneb_jax_probes.streamed import Streamed

__all__ = ["solve_feature_group"]

#: Values of C that share one run of the machines, where X is small and where it is large. Over a
#: small one they share each pass. Over a large one they are better apart: none waits for the
#: slowest, and they run side by side on cores that have nothing else to do.
_TOGETHER, _TOGETHER_IF_LARGE = 5, 3
_LARGE = 1 << 22
#: Logits of one value of C that are enough for the products of a pass over X.
_ENOUGH_LOGITS = 3


def solve_feature_group(
    group: FeatureGroup,
    problem: Problem,
    settings: Settings,
    lane: Lane,
    solutions: Solutions,
) -> None:
    """Solve every (fit, C) of one group and write the solutions."""
    layout = lay_out(group, problem, settings)
    budget = settings.lane_bytes(lane)
    size = layout.rows * layout.width * np.dtype(layout.dtype).itemsize
    held: Resident | Streamed
    if size <= budget:
        held = put_resident(layout, settings, lane)
    else:
        held = Streamed.within(layout, settings, lane, budget)
    start = np.zeros((len(group.fits), group.fits[0].logits, layout.width + 1))
    gram, curvature = None, 1.0
    if settings.exact:
        gram = held.gram(layout.columns.mean(axis=1))
        chances = [np.bincount(fit.codes, weights=fit.shares) for fit in group.fits]
        curvature = float(np.mean([np.mean(one * (1 - one)) for one in chances]))
        start[..., -1] = np.stack([fit.base_intercept for fit in group.fits])
    sums = np.array([fit.weight_sum for fit in group.fits])
    penalty = layout.scale**2 / (settings.strengths[:, None] * sums[None, :])

    def solve(part: slice) -> Ended:
        some = penalty[part]
        # Columns run over C, then over subsets: the fits of one C share a factor.
        columns = Columns(slice(None), some, np.tile(start, (len(some), 1, 1)))
        if settings.exact:
            return solve_exactly(held, columns, gram, curvature, settings, lane)
        return held.solve(columns, None, settings.dtype, settings.rules, settings.max_iter)

    parts = _parts(group, layout, settings)
    for part, ended in zip(parts, lane.together(solve, parts), strict=True):
        scaled = ended._replace(norm=ended.norm / layout.scale)
        for i, c in enumerate(range(part.start, part.stop)):
            for s, fit in enumerate(group.fits):
                at = i * len(group.fits) + s
                weights = ended.weights[at] * layout.scale
                solutions.put(fit, c, scaled, (at,), weights, layout.mean)


def _parts(group: FeatureGroup, layout: Layout, settings: Settings) -> list[slice]:
    """Values of C that run together; how many never depends on the lanes there are."""
    count = len(settings.strengths)
    if len(group.fits) * group.fits[0].logits >= _ENOUGH_LOGITS:
        size = 1
    elif settings.exact:
        size = _TOGETHER_IF_LARGE if layout.rows * layout.width >= _LARGE else _TOGETHER
    else:
        size = count
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]
