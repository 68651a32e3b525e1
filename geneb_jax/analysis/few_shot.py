"""What is lost with few labelled examples: by model, and by category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube

__all__ = ["Degradation", "few_shot_degradation", "mean_macro", "retention"]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One model's loss from full data to one few-shot regime.

    ``absolute`` is macro(full) - macro(few); ``relative`` the same as a share of macro(full), None
    where that is not above zero.
    """

    model_id: str
    regime: str
    full: float
    few: float
    absolute: float
    relative: float | None


def few_shot_degradation(
    cube: ScoreCube, *, full: str = "full"
) -> Mapping[str, tuple[Degradation, ...]]:
    """Every complete model's loss, by few-shot regime; models in order of falling full macro."""
    means = aggregate(cube)
    base = means.macro[:, cube.regime_index(full)]
    losses: dict[str, tuple[Degradation, ...]] = {}
    for place, regime in enumerate(cube.regimes):
        if regime == full:
            continue
        few = means.macro[:, place]
        known = np.flatnonzero(np.isfinite(base) & np.isfinite(few))
        order = known[np.argsort(-base[known], kind="stable")]
        losses[regime] = tuple(
            Degradation(
                model_id=cube.model_ids[row],
                regime=regime,
                full=float(base[row]),
                few=float(few[row]),
                absolute=float(base[row] - few[row]),
                relative=float(1.0 - few[row] / base[row]) if base[row] > 0 else None,
            )
            for row in order.tolist()
        )
    return losses


def mean_macro(cube: ScoreCube) -> Mapping[str, float | None]:
    """Macro MCC by regime, averaged over the models that are complete in every regime."""
    macro = aggregate(cube).macro
    whole = np.isfinite(macro).all(axis=1)
    return {
        regime: float(macro[whole, place].mean()) if whole.any() else None
        for place, regime in enumerate(cube.regimes)
    }


def retention(cube: ScoreCube, *, full: str = "full") -> Mapping[str, Mapping[str, float | None]]:
    """Share of the full-data MCC kept in each few-shot regime, by category.

    The ratio of two means over the complete models (not the mean of the models' ratios); None where
    the full-data mean is not above zero.
    """
    category = aggregate(cube).category
    whole = np.isfinite(category).all(axis=(1, 2))
    base_place = cube.regime_index(full)
    kept: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(cube.categories):
        column = category[whole, :, k].mean(axis=0) if whole.any() else np.zeros(len(cube.regimes))
        base = column[base_place]
        kept[name] = {
            regime: float(column[place] / base) if base > 0 else None
            for place, regime in enumerate(cube.regimes)
            if place != base_place
        }
    return kept
