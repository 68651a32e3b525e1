"""How far few-shot scores move with the seed, by task and in the macro mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import category_means
from geneb_jax.analysis.cube import ScoreCube

__all__ = ["SeedSpread", "seed_spread"]


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """Spread over seeds of one model in one few-shot regime.

    Attributes:
        model_id: The model.
        regime: The regime.
        typical: Mean over tasks of the standard deviation over seeds.
        widest: The largest of them, and ``widest_task`` where.
        macro_error: Standard error of the macro mean that the choice of seeds alone gives, from
            the tasks' spreads, seeds taken as independent between tasks.
    """

    model_id: str
    regime: str
    typical: float
    widest: float
    widest_task: str
    macro_error: float


def seed_spread(cube: ScoreCube, seeds: int) -> tuple[SeedSpread, ...]:
    """Every (model, regime) whose every task has a spread.

    Args:
        cube: Scores with their spread over seeds.
        seeds: Number of seeds behind each score.
    """
    found = []
    for row, model_id in enumerate(cube.model_ids):
        for place, regime in enumerate(cube.regimes):
            spread = cube.seed_sd[row, place]
            if not np.isfinite(spread).all():
                continue
            widest = int(np.argmax(spread))
            found.append(
                SeedSpread(
                    model_id=model_id,
                    regime=regime,
                    typical=float(spread.mean()),
                    widest=float(spread[widest]),
                    widest_task=cube.tasks[widest].task_id,
                    macro_error=_macro_error(spread, cube.category_of_task, seeds),
                )
            )
    return tuple(found)


def _macro_error(spread: np.ndarray, category: np.ndarray, seeds: int) -> float:
    sizes = np.bincount(category)
    of_category = category_means(spread**2, category) / sizes
    return float(np.sqrt(of_category.sum() / seeds) / len(sizes))
