"""Who is first on which task and in which category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube

__all__ = ["TaskWinner", "category_leaders", "task_winners", "win_counts"]


@dataclass(frozen=True, slots=True)
class TaskWinner:
    """The best score on a task, and every model that has it."""

    task_id: str
    winners: tuple[str, ...]
    mcc: float
    runner_up: float | None


def task_winners(cube: ScoreCube, regime: str) -> tuple[TaskWinner, ...]:
    """The winner of every task among the complete models, in the tasks' order."""
    rows = np.flatnonzero(cube.complete(regime))
    scores = cube.in_regime(regime)[rows]
    if not len(rows):
        return ()
    best = scores.max(axis=0)
    winners = []
    for place, task in enumerate(cube.tasks):
        first = scores[:, place] == best[place]
        rest = scores[~first, place]
        winners.append(
            TaskWinner(
                task_id=task.task_id,
                winners=tuple(cube.model_ids[row] for row in rows[first].tolist()),
                mcc=float(best[place]),
                runner_up=float(rest.max()) if len(rest) else None,
            )
        )
    return tuple(winners)


def win_counts(cube: ScoreCube, regime: str) -> Mapping[str, int]:
    """Tasks won by each complete model, most first; a shared first place counts for each."""
    counts = {cube.model_ids[row]: 0 for row in np.flatnonzero(cube.complete(regime)).tolist()}
    for task in task_winners(cube, regime):
        for model_id in task.winners:
            counts[model_id] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def category_leaders(cube: ScoreCube, regime: str) -> Mapping[str, tuple[str, ...]]:
    """First-ranked model (or models, if equal) of every category among the complete models."""
    rows = np.flatnonzero(cube.complete(regime))
    means = aggregate(cube).category[rows, cube.regime_index(regime)]
    leaders: dict[str, tuple[str, ...]] = {}
    for k, name in enumerate(cube.categories):
        first = means[:, k] == means[:, k].max(initial=-np.inf)
        leaders[name] = tuple(cube.model_ids[row] for row in rows[first].tolist())
    return leaders
