"""Every score of a run beside what it must beat, its interval, and itself without leaked rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.baselines import chance_bound, controls_of
from geneb_jax.analysis.bootstrap import Interval
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.leakage import Leakage
from geneb_jax.analysis.test_row_intervals import ScoreInterval

__all__ = ["OwnScore", "own_scores"]


@dataclass(frozen=True, slots=True)
class OwnScore:
    """One score of one of the user's models.

    Attributes:
        model_id: The model.
        regime: The regime.
        task_id: The task; ``label`` and ``category`` are its own.
        mcc: The score, mean over seeds.
        seed_sd: Its standard deviation over seeds, in a few-shot regime of several seeds.
        test_rows: Rows of the test set, where known.
        interval: 95% over test rows, from kept predictions.
        chance: The MCC that guessing reaches by luck (:func:`chance_bound`).
        untrained: The run's untrained control (:func:`controls_of`), the best where there are
            several. None for a control itself.
        composition: The best of the run's k-mer counts, other than the model itself.
        leaked: Test rows that are training rows too, from kept predictions.
        clean_mcc: The score without them.
        data: How near the task's data are to the benchmark's, where that is known.
        reverse_complements: Test rows whose reverse complement is a training row, likewise.
        near_repeats: Test rows that are nearly a training row, likewise.
        distinct_mcc: The score without all three.
    """

    model_id: str
    regime: str
    task_id: str
    label: str
    category: str
    mcc: float
    seed_sd: float | None
    test_rows: int | None
    interval: Interval | None
    chance: float | None
    untrained: float | None
    composition: float | None
    leaked: int | None
    clean_mcc: float | None
    reverse_complements: int | None
    near_repeats: int | None
    distinct_mcc: float | None
    data: str = ""


def own_scores(
    cube: ScoreCube,
    regime: str,
    intervals: Mapping[tuple[str, str], ScoreInterval],
    leaks: Mapping[tuple[str, str], Leakage],
) -> tuple[OwnScore, ...]:
    """Every score of the user's models in a regime, model by model.

    Args:
        cube: The scores.
        regime: The regime.
        intervals: (model id, task id) -> interval over test rows, where predictions were kept.
        leaks: (model id, task id) -> score without leaked rows, likewise.
    """
    scores = cube.in_regime(regime)
    spread = cube.seed_sd[:, cube.regime_index(regime)]
    chance = chance_bound(cube.test_rows)
    if cube.metric != "mcc":  # guessing has another accuracy and F1 for every share of classes
        chance = np.full_like(chance, np.nan)
    found = []
    for row, model in enumerate(cube.models):
        if model.source != "user":
            continue
        untrained = _best(scores, controls_of(cube.models, row))
        composition = _best(scores, _rows(cube, "none", row))
        for k, task in enumerate(cube.tasks):
            if not np.isfinite(scores[row, k]):
                continue
            unit = (model.label, task.task_id)
            interval, leak = intervals.get(unit), leaks.get(unit)
            found.append(
                OwnScore(
                    model_id=model.label,
                    regime=regime,
                    task_id=task.task_id,
                    label=task.label,
                    category=task.category,
                    mcc=float(scores[row, k]),
                    seed_sd=_known(spread[row, k]),
                    test_rows=int(cube.test_rows[k]) or None,
                    interval=None if interval is None else interval.interval,
                    chance=_known(chance[k]),
                    untrained=_known(untrained[k]),
                    composition=_known(composition[k]),
                    leaked=None if leak is None else leak.leaked,
                    clean_mcc=None if leak is None else leak.clean_mcc,
                    data=cube.data.get(model.label, {}).get(task.task_id, ""),
                    reverse_complements=None if leak is None else leak.reverse_complements,
                    near_repeats=None if leak is None else leak.near_repeats,
                    distinct_mcc=None if leak is None else leak.distinct_mcc,
                )
            )
    return tuple(found)


def _rows(cube: ScoreCube, weights: str, but: int) -> list[int]:
    return [
        k
        for k, model in enumerate(cube.models)
        if model.source == "user" and model.weights == weights and k != but
    ]


def _best(scores: np.ndarray, rows: list[int]) -> np.ndarray:
    """float64 ``[task]``: the highest of the rows' scores, NaN where none has one."""
    chosen = scores[rows]
    best: np.ndarray = np.where(np.isfinite(chosen), chosen, -np.inf).max(axis=0, initial=-np.inf)
    best[np.isneginf(best)] = np.nan
    return best


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
