"""Every score beside every other: each model's six means over one and the same set of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.cube_from_scores import ProbeSetting, chosen_setting, cube_from_scores
from geneb_jax.benchmark import Suite
from geneb_jax.results import METRIC_RANGES, RunScores

__all__ = ["MetricMeans", "metric_means"]


@dataclass(frozen=True, slots=True)
class MetricMeans:
    """One model of a run in one regime.

    Attributes:
        model_id: Its label.
        regime: The regime.
        tasks: Tasks with a score, which all means are over.
        scores: Column of scores.csv -> mean of the category means; None where a task lacks it.
    """

    model_id: str
    regime: str
    tasks: int
    scores: Mapping[str, float | None]


def metric_means(
    runs: Sequence[RunScores], setting: ProbeSetting | None = None
) -> tuple[MetricMeans, ...]:
    """The means of every model of the runs, in the setting that the report is of."""
    found: list[MetricMeans] = []
    for run in runs:
        chosen = setting or chosen_setting(run.scores, run.suite)
        cubes = {
            metric: cube_from_scores(run.scores, run.suite, setting=chosen, metric=metric)[0]
            for metric in METRIC_RANGES
        }
        first = cubes["mcc"]
        for m, label in enumerate(first.model_ids):
            for r, regime in enumerate(first.regimes):
                scored = np.isfinite(first.mcc[m, r])
                if not scored.any():
                    continue
                means = {
                    metric: _macro(run.suite, cube.mcc[m, r], scored)
                    for metric, cube in cubes.items()
                }
                turned = means.pop("neg_brier")
                means["brier"] = None if turned is None else -turned
                found.append(MetricMeans(label, regime, int(scored.sum()), means))
    return tuple(found)


def _macro(suite: Suite, values: np.ndarray, scored: np.ndarray) -> float | None:
    """Mean of category means over the scored tasks; None where one of them lacks the score."""
    if not np.isfinite(values[scored]).all():
        return None
    by_category: dict[str, list[float]] = {}
    for k in np.flatnonzero(scored).tolist():
        by_category.setdefault(suite.tasks[k].category, []).append(float(values[k]))
    return float(np.mean([np.mean(members) for members in by_category.values()]))
