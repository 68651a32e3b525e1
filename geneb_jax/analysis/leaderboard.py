"""The leaderboard: ranks, intervals and tie groups, with coverage and withheld means in sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.ranking import RankRange, ranking
from geneb_jax.analysis.test_row_predictions import ModelPredictions
from geneb_jax.results import ModelFacts

__all__ = ["Leaderboard", "LeaderboardRow", "leaderboard"]


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One model's line. None stands for "withheld: a task is missing" or "not known".

    Attributes:
        model: The model.
        rank: Place by macro in the ranking regime, equal scores sharing the best place; None for a
            model that lacks a task or is off the protocol.
        tie_group: Models of one group cannot be told from one another
            (:mod:`geneb_jax.analysis.ranking`); 1 is the leading group.
        macro: Regime -> macro MCC.
        micro: Regime -> micro MCC.
        scored: Regime -> number of tasks scored.
        interval: 95% bootstrap interval of the macro mean in the ranking regime.
        interval_over: What it is over: tasks, or below five tasks the rows of the test sets.
        rank_range: Where its rank lies by the same comparisons.
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
    interval_over: str
    rank_range: RankRange | None
    category: Mapping[str, float | None]
    seed_sd: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Ranked rows first, then the unranked ones.

    ``tasks`` is what a complete model has; ``notes`` say what is not in the ranking and why.
    """

    title: str
    regime: str
    regimes: tuple[str, ...]
    categories: tuple[str, ...]
    tasks: int
    rows: tuple[LeaderboardRow, ...]
    notes: tuple[str, ...] = ()
    metric: str = "mcc"


def leaderboard(
    cube: ScoreCube,
    *,
    title: str,
    regime: str | None = None,
    predictions: Mapping[str, ModelPredictions] | None = None,
    notes: tuple[str, ...] = (),
) -> Leaderboard:
    """Rank a cube's models by macro MCC.

    Args:
        cube: Scores; models that lack a task in the regime, or are off the protocol, are listed
            after the ranked ones with their coverage.
        title: What the ranking is of.
        regime: The ranking regime; the cube's first by default.
        predictions: Label -> kept predictions, for intervals over test rows.
        notes: What a reader of the ranking must know.
    """
    regime = regime or cube.regimes[0]
    place = cube.regime_index(regime)
    means = aggregate(cube)
    found = ranking(cube, regime, predictions=predictions)
    order, ranked = found.order, set(found.order)
    rest = [row for row in range(len(cube.models)) if row not in ranked]
    spread = _mean_spread(cube)

    def line(row: int) -> LeaderboardRow:
        return LeaderboardRow(
            model=cube.models[row],
            rank=found.ranks.get(row),
            tie_group=found.groups.get(row),
            macro={name: _known(means.macro[row, k]) for k, name in enumerate(cube.regimes)},
            micro={name: _known(means.micro[row, k]) for k, name in enumerate(cube.regimes)},
            scored={name: int(means.scored[row, k]) for k, name in enumerate(cube.regimes)},
            interval=found.intervals.get(row),
            interval_over=found.over if row in found.intervals else "",
            rank_range=found.ranges.get(row),
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
        rows=tuple(line(row) for row in [*order, *rest]),
        notes=notes,
        metric=cube.metric,
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean_spread(cube: ScoreCube) -> np.ndarray:
    """float64 ``[model, regime]``: mean spread over tasks; NaN unless every task has one."""
    spread: np.ndarray = cube.seed_sd.mean(axis=2)
    return spread
