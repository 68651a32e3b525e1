"""What a score must beat: chance, composition, and the same network untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.results import UNTRAINED, ModelFacts

__all__ = ["Baseline", "baselines", "chance_bound", "controls_of", "tasks_at_chance"]


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

    Which untrained control is a model's: :func:`controls_of`.
    """
    cube = cube.select_models(cube.complete(regime))
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    scores = cube.in_regime(regime)
    composition = [k for k, model in enumerate(cube.models) if model.weights == "none"]
    found = []
    for row, model in enumerate(cube.models):
        if model.source != "user" or model.weights != "pretrained":
            continue
        controls = [(k, "untrained") for k in controls_of(cube.models, row)]
        controls += [(k, "composition") for k in composition]
        found += [
            Baseline(
                model_id=model.label,
                baseline_id=cube.model_ids[k],
                kind=kind,
                gain=float(macro[row] - macro[k]),
                ahead=int((scores[row] > scores[k]).sum()),
                tasks=len(cube.tasks),
            )
            for k, kind in controls
        ]
    return tuple(found)


def controls_of(models: Sequence[ModelFacts], row: int) -> list[int]:
    """Positions of the user's untrained controls that fit a model best; none for a control itself.

    The control of a model is the same model untrained, at the same layer and pooling if there is
    one; otherwise one of its architecture; otherwise any.
    """
    model = models[row]
    if model.untrained:
        return []
    controls = [k for k, other in enumerate(models) if other.untrained and other.source == "user"]
    same_model = [k for k in controls if models[k].name == model.name]
    same_variant = [k for k in same_model if _beside_weights(models[k]) == _beside_weights(model)]
    same_kind = [k for k in controls if models[k].architecture == model.architecture]
    return same_variant or same_model or same_kind or controls


def _beside_weights(model: ModelFacts) -> set[str]:
    return {word for word in model.variant if not word.startswith(UNTRAINED)}
