"""Scores by layer and pooling of one model, and the one that held-out training rows choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.cube_from_scores import ProbeSetting, chosen_setting, cube_from_scores
from geneb_jax.analysis.unit_rows import SettingRows, rows_by_unit
from geneb_jax.identity import EncoderIdentity, identity_digest
from geneb_jax.results import RunScores
from geneb_jax.results.fold_scores import find_fold_scores

__all__ = ["LayerCurves", "LayerScore", "layer_curves", "layers_document"]


@dataclass(frozen=True, slots=True)
class LayerScore:
    """One layer and pooling of a model.

    Attributes:
        label: What tables file its scores under.
        layer: Hidden state: 0 the embeddings, -1 the last.
        pooling: How token vectors became one.
        test: Mean of the category means on the test rows, MCC.
        categories: Category -> mean over its tasks.
        held_out: As ``test``, on held-out training rows; None where they were not scored, as in
            few-shot regimes and for a layer that was run alone.
    """

    label: str
    layer: int
    pooling: str
    test: float
    categories: Mapping[str, float]
    held_out: float | None


@dataclass(frozen=True, slots=True)
class LayerCurves:
    """A model's layers and poolings in one regime, over the tasks that all of them have.

    Attributes:
        model_id: The model, without layer and pooling.
        regime: The regime.
        setting: Probe, solver and C of the scores.
        tasks: Tasks in the means.
        scores: From the first layer to the last, pooling after pooling.
    """

    model_id: str
    regime: str
    setting: ProbeSetting
    tasks: int
    scores: tuple[LayerScore, ...]

    @property
    def chosen(self) -> LayerScore | None:
        """The best on held-out training rows, the first of equals.

        None unless all of them were scored there.
        """
        if any(one.held_out is None for one in self.scores):
            return None
        return max(self.scores, key=lambda one: -np.inf if one.held_out is None else one.held_out)

    @property
    def best(self) -> LayerScore:
        """The best on the test rows: no choice that anybody could have made."""
        return max(self.scores, key=lambda one: one.test)

    @property
    def price(self) -> float | None:
        """What choosing by test rows flatters itself by, at most: the best above the chosen."""
        return None if self.chosen is None else self.best.test - self.chosen.test

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers, the last one (-1) behind all others."""
        return tuple(sorted({one.layer for one in self.scores}, key=_depth))

    @property
    def poolings(self) -> tuple[str, ...]:
        """The poolings, in order of appearance."""
        return tuple(dict.fromkeys(one.pooling for one in self.scores))


def layers_document(curves: Sequence[LayerCurves]) -> list[dict[str, Any]]:
    """As plain data, for documents."""
    return [
        {
            "model_id": one.model_id,
            "regime": one.regime,
            "tasks": one.tasks,
            "chosen": None
            if one.chosen is None
            else {"layer": one.chosen.layer, "pooling": one.chosen.pooling},
            "price": one.price,
            "scores": [
                {
                    "model_id": score.label,
                    "layer": score.layer,
                    "pooling": score.pooling,
                    "test": score.test,
                    "held_out": score.held_out,
                    "categories": dict(score.categories),
                }
                for score in one.scores
            ],
        }
        for one in curves
    ]


def layer_curves(runs: Sequence[RunScores]) -> tuple[LayerCurves, ...]:
    """Every model of which several layers or poolings were scored, in order of appearance.

    Scores are those of the setting that the leaderboard is of.
    """
    found: list[LayerCurves] = []
    for run in runs:
        setting = chosen_setting(run.scores, run.suite)
        if setting is not None:
            found += _curves(run, setting)
    return tuple(found)


def _curves(run: RunScores, setting: ProbeSetting) -> list[LayerCurves]:
    cube = cube_from_scores(run.scores, run.suite, setting=setting)[0]
    groups: dict[str, dict[str, EncoderIdentity]] = {}
    for label in cube.model_ids:
        facts = run.model_facts.get(label)
        if facts is not None and facts.identity is not None:
            groups.setdefault(_model_of(facts.identity), {})[label] = facts.identity
    if all(len(members) < 2 for members in groups.values()):
        return []
    rows = rows_by_unit(run.scores, setting)
    return [
        curves
        for members in groups.values()
        if len(members) > 1
        for regime in cube.regimes
        if (curves := _of_regime(run, cube, rows, setting, members, regime)) is not None
    ]


def _model_of(identity: EncoderIdentity) -> str:
    """The same for every layer and pooling of a model."""
    fields = identity.as_dict()
    return identity_digest({k: v for k, v in fields.items() if k not in ("layer", "pooling")})


def _depth(layer: int) -> tuple[bool, int]:
    return layer < 0, layer


def _of_regime(
    run: RunScores,
    cube: ScoreCube,
    rows: SettingRows,
    setting: ProbeSetting,
    members: Mapping[str, EncoderIdentity],
    regime: str,
) -> LayerCurves | None:
    at = cube.regime_index(regime)
    mcc = {label: cube.mcc[cube.model_index(label), at] for label in members}
    scored = {label: values for label, values in mcc.items() if np.isfinite(values).any()}
    if len(scored) < 2:
        return None
    common = np.all([np.isfinite(values) for values in scored.values()], axis=0)
    if not common.any():
        return None
    scores = []
    for label, values in scored.items():
        means = _category_means(run, values, common)
        held = _held_out(run, rows, label, regime, setting.C, common)
        scores.append(
            LayerScore(
                label,
                members[label].layer,
                members[label].pooling,
                _macro(means),
                means,
                None if held is None else _macro(_category_means(run, held, common)),
            )
        )
    poolings = list(dict.fromkeys(one.pooling for one in scores))
    scores.sort(key=lambda one: (_depth(one.layer), poolings.index(one.pooling)))
    first = scores[-1]
    title = first.label.split(" @layer ")[0].removesuffix(f" {first.pooling}")
    return LayerCurves(title, regime, setting, int(common.sum()), tuple(scores))


def _category_means(run: RunScores, values: np.ndarray, tasks: np.ndarray) -> dict[str, float]:
    by_category: dict[str, list[float]] = {}
    for k in np.flatnonzero(tasks).tolist():
        by_category.setdefault(run.suite.tasks[k].category, []).append(float(values[k]))
    return {category: float(np.mean(members)) for category, members in by_category.items()}


def _macro(means: Mapping[str, float]) -> float:
    return float(np.mean(list(means.values())))


def _held_out(
    run: RunScores, rows: SettingRows, label: str, regime: str, C: float, common: np.ndarray
) -> np.ndarray | None:
    """MCC of each task on held-out training rows; None unless every common task has it."""
    if run.folder is None:
        return None
    values = np.full(len(run.suite.tasks), np.nan)
    for k in np.flatnonzero(common).tolist():
        unit = rows.get((label, regime, run.suite.tasks[k].task_id), ())
        found = find_fold_scores(run.folder, unit)
        if found is None or C not in found:
            return None
        values[k] = found[C]
    return values
