"""Models that do better in one category than elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from geneb_jax.analysis.cube import ScoreCube

__all__ = ["Specialisation", "specialisation"]


@dataclass(frozen=True, slots=True)
class Specialisation:
    """How many places a model gains inside a category: mean rank outside minus mean rank inside."""

    model_id: str
    category: str
    gain: float
    tasks: int


def specialisation(cube: ScoreCube, regime: str) -> tuple[Specialisation, ...]:
    """Every (model, category), largest gain first.

    Ranks are per task among the complete models, 1 the best, equal scores sharing their mean rank
    (paper, appendix on specialisation). A category of one task makes a noisy gain: ``tasks`` says
    so.
    """
    rows = np.flatnonzero(cube.complete(regime))
    if not len(rows) or len(cube.categories) < 2:
        return ()
    ranks = rankdata(-cube.in_regime(regime)[rows], axis=0)
    category = cube.category_of_task
    found = []
    for k, name in enumerate(cube.categories):
        inside = category == k
        gains = ranks[:, ~inside].mean(axis=1) - ranks[:, inside].mean(axis=1)
        found += [
            Specialisation(cube.model_ids[row], name, float(gain), int(inside.sum()))
            for row, gain in zip(rows.tolist(), gains.tolist(), strict=True)
        ]
    return tuple(sorted(found, key=lambda entry: -entry.gain))
