"""What a score must beat: chance, composition, and the same network untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube

__all__ = ["Baseline", "baselines", "chance_bound", "tasks_at_chance"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model beside a model that should be worse, by macro MCC in one regime.

    ``kind`` is "untrained" (random weights) or "composition" (k-mer frequencies, no network).
    """

    model_id: str
    baseline_id: str
    kind: str
    gain: float
    ahead: int
    tasks: int


def chance_bound(test_rows: np.ndarray, *, deviations: float = 2.0) -> np.ndarray:
    """The MCC that guessing reaches by luck on a test set of ``test_rows`` rows.

    With labels permuted at random the MCC of two classes has mean 0 and standard deviation
    1 / sqrt(n - 1) exactly; with more classes it is smaller, so the bound holds for them too.

    Returns:
        float64, ``deviations`` standard deviations; NaN where the number of rows is unknown (0, 1).
    """
    rows = np.asarray(test_rows, dtype=np.float64)
    bound: np.ndarray = np.where(
        rows > 1, deviations / np.sqrt(np.where(rows > 1, rows - 1, 1.0)), np.nan
    )
    return bound


def tasks_at_chance(cube: ScoreCube, regime: str) -> Mapping[str, int | None]:
    """Tasks on which a model's score is within the chance bound; None where test sizes are unknown.

    Only the run itself knows the sizes of its test sets, so this covers the tasks of the run.
    """
    bound = chance_bound(cube.test_rows)
    known = np.isfinite(bound)
    if not known.any():
        return dict.fromkeys(cube.model_ids)
    scores = cube.in_regime(regime)[:, known]
    return {
        name: int((scores[row] <= bound[known]).sum()) if np.isfinite(scores[row]).all() else None
        for row, name in enumerate(cube.model_ids)
    }


def baselines(cube: ScoreCube, regime: str) -> tuple[Baseline, ...]:
    """Every trained model of the user beside the untrained and composition models of the run.

    An untrained control is best paired with its own architecture: where one shares the label of the
    trained model, only that one is listed.
    """
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    scores = cube.in_regime(regime)
    whole = np.isfinite(macro)
    trained = _rows(cube, whole, ("pretrained",))
    found = []
    for row in trained:
        if cube.models[row].source != "user":
            continue
        own = [
            k
            for k in _rows(cube, whole, ("random",))
            if cube.models[k].architecture == cube.models[row].architecture
        ]
        controls = [(k, "untrained") for k in own or _rows(cube, whole, ("random",))]
        controls += [(k, "composition") for k in _rows(cube, whole, ("none",))]
        found += [
            Baseline(
                model_id=cube.model_ids[row],
                baseline_id=cube.model_ids[k],
                kind=kind,
                gain=float(macro[row] - macro[k]),
                ahead=int((scores[row] > scores[k]).sum()),
                tasks=len(cube.tasks),
            )
            for k, kind in controls
        ]
    return tuple(found)


def _rows(cube: ScoreCube, whole: np.ndarray, weights: Sequence[str]) -> list[int]:
    return [k for k, model in enumerate(cube.models) if whole[k] and model.weights in weights]
