"""The leaderboard: ranks, intervals and tie groups, with coverage and withheld means in sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.bootstrap import TaskBootstrap, task_bootstrap
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.results import ModelFacts

__all__ = ["Leaderboard", "LeaderboardRow", "leaderboard", "tie_groups"]


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One model's line. None stands for "withheld: a task is missing" or "not known".

    Attributes:
        model: The model.
        rank: Place by macro in the ranking regime, equal scores sharing the best place; None for a
            model that lacks a task or is off the protocol.
        tie_group: Models of one group cannot be told from the group's first (see
            :func:`tie_groups`); 1 is the leading group.
        macro: Regime -> macro MCC.
        micro: Regime -> micro MCC.
        scored: Regime -> number of tasks scored.
        interval: 95% bootstrap interval of the macro mean in the ranking regime.
        category: Category -> MCC in the ranking regime.
        seed_sd: Regime -> mean over tasks of the standard deviation over seeds.
    """

    model: ModelFacts
    rank: int | None
    tie_group: int | None
    macro: Mapping[str, float | None]
    micro: Mapping[str, float | None]
    scored: Mapping[str, int]
    interval: tuple[float, float] | None
    category: Mapping[str, float | None]
    seed_sd: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Ranked rows first, then the unranked ones; ``tasks`` is what a complete model has."""

    title: str
    regime: str
    regimes: tuple[str, ...]
    categories: tuple[str, ...]
    tasks: int
    rows: tuple[LeaderboardRow, ...]


def leaderboard(cube: ScoreCube, *, title: str, regime: str | None = None) -> Leaderboard:
    """Rank a cube's models by macro MCC.

    Args:
        cube: Scores; models that lack a task in the regime, or are off the protocol, are listed
            after the ranked ones with their coverage.
        title: What the ranking is of.
        regime: The ranking regime; the cube's first by default.
    """
    regime = regime or cube.regimes[0]
    place = cube.regime_index(regime)
    means = aggregate(cube)
    macro = means.macro[:, place]
    scores = cube.in_regime(regime)
    ranked = np.isfinite(macro) & cube.on_protocol
    order = [row for row in np.argsort(-macro, kind="stable") if ranked[row]]
    ranks = dict(zip(order, _ranks(macro[order]), strict=True))
    resampling = task_bootstrap(cube.category_of_task)
    groups: dict[int, int] = {}
    intervals: dict[int, tuple[float, float]] = {}
    if resampling is not None:
        groups = dict(zip(order, tie_groups(scores[order], resampling), strict=True))
        whole = np.flatnonzero(np.isfinite(macro))
        low, high = resampling.bounds(scores[whole])
        intervals = {
            int(row): (float(low[k]), float(high[k])) for k, row in enumerate(whole.tolist())
        }
    rest = [row for row in range(len(cube.models)) if not ranked[row]]
    spread = _mean_spread(cube)

    def line(row: int) -> LeaderboardRow:
        return LeaderboardRow(
            model=cube.models[row],
            rank=ranks.get(row),
            tie_group=groups.get(row),
            macro={name: _known(means.macro[row, k]) for k, name in enumerate(cube.regimes)},
            micro={name: _known(means.micro[row, k]) for k, name in enumerate(cube.regimes)},
            scored={name: int(means.scored[row, k]) for k, name in enumerate(cube.regimes)},
            interval=intervals.get(row),
            category={
                name: _known(means.category[row, place, k])
                for k, name in enumerate(means.categories)
            },
            seed_sd={name: _known(spread[row, k]) for k, name in enumerate(cube.regimes)},
        )

    return Leaderboard(
        title=title,
        regime=regime,
        regimes=cube.regimes,
        categories=cube.categories,
        tasks=len(cube.tasks),
        rows=tuple(line(row) for row in [*map(int, order), *rest]),
    )


def tie_groups(scores: np.ndarray, resampling: TaskBootstrap, *, level: float = 0.95) -> list[int]:
    """Cut a ranking into groups whose members cannot be told from the group's first model.

    Going down the ranking, a model opens a new group when the interval of its paired difference to
    the first model of the current group excludes zero. Groups therefore follow the ranking;
    membership is not transitive between members, and no correction is made for the number of
    comparisons.

    Args:
        scores: float64 ``[model, task]``, best model first, complete.
        resampling: The bootstrap over the same tasks.
        level: Confidence level of the paired intervals.

    Returns:
        A group number a model, from 1.
    """
    groups: list[int] = []
    start = 0
    while start < len(scores):
        number = groups[-1] + 1 if groups else 1
        low, _ = resampling.bounds(scores[start] - scores[start:], level)
        apart = np.flatnonzero(low > 0.0)
        size = int(apart[0]) if apart.size else len(scores) - start
        groups += [number] * max(size, 1)
        start += max(size, 1)
    return groups


def _ranks(values: np.ndarray) -> list[int]:
    return [int(rank) for rank in rankdata(-values, method="min")]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean_spread(cube: ScoreCube) -> np.ndarray:
    """float64 ``[model, regime]``: mean spread over tasks; NaN unless every task has one."""
    spread: np.ndarray = cube.seed_sd.mean(axis=2)
    return spread
