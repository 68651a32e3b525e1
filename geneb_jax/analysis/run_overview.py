"""The part of the statistics document that only a run of the user's can fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from geneb_jax.analysis.agreement import SettingAgreement, setting_agreement
from geneb_jax.analysis.baselines import baselines, tasks_at_chance
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.leakage import ModelLeakage, clean_macros, leakage
from geneb_jax.analysis.own_scores import OwnScore, own_scores
from geneb_jax.analysis.panel import Panel
from geneb_jax.analysis.seed_spread import seed_spread
from geneb_jax.analysis.test_row_intervals import ScoreInterval, row_spread, score_interval

__all__ = ["run_overview"]


def run_overview(panel: Panel, regime: str) -> dict[str, Any]:
    """Seeds, test rows, controls, chance, leakage and probe settings of the panel's runs."""
    cube = panel.cube if panel.common is None else panel.common
    own = cube.select_models(np.array([m.source == "user" for m in cube.models], dtype=bool))
    whole = panel.cube
    leaks, intervals = _rows(panel, whole, regime)
    return {
        "seed_spread": _seeds(own, panel.suite.protocol.seeds),
        "baselines": [
            {
                "model_id": b.model_id,
                "baseline_id": b.baseline_id,
                "kind": b.kind,
                "gain": b.gain,
                "ahead": b.ahead,
                "tasks": b.tasks,
            }
            for b in baselines(own, regime)
        ],
        "tasks_at_chance": dict(tasks_at_chance(own, regime)),
        "leakage": [
            {"model_id": entry.model_id, "regime": entry.regime, **asdict(entry.task)}
            for entry in leaks
        ],
        "leakage_free": [asdict(entry) for entry in clean_macros(cube, leaks)],
        "own_scores": [
            _own(one)
            for one in own_scores(
                whole,
                regime,
                {(one.model_id, one.task_id): one for one in intervals},
                {(e.model_id, e.task.task_id): e.task for e in leaks if e.regime == regime},
            )
        ],
        "row_spread": [asdict(entry) for entry in row_spread(cube, intervals)],
        "settings": [
            found
            for name in panel.cube.regimes
            if (found := _settings(setting_agreement(panel.settings, name))) is not None
        ],
    }


def _own(one: OwnScore) -> dict[str, Any]:
    interval = one.interval
    return asdict(one) | {"interval": None if interval is None else [interval.low, interval.high]}


def _rows(
    panel: Panel, cube: ScoreCube, regime: str
) -> tuple[list[ModelLeakage], list[ScoreInterval]]:
    """What kept predictions say of every score; each file of predictions is read once."""
    leaks: list[ModelLeakage] = []
    intervals: list[ScoreInterval] = []
    for model_id, kept in panel.predictions.items():
        for name in cube.regimes:
            for task in cube.tasks:
                rows = kept.task(name, task.task_id)
                if rows is None:
                    continue
                entry = leakage(task.task_id, rows.truth, rows.guesses, rows.leaked)
                leaks.append(ModelLeakage(model_id, name, entry))
                if name == regime:
                    intervals.append(score_interval(model_id, name, task.task_id, rows))
    return leaks, intervals


def _settings(found: SettingAgreement | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "regime": found.regime,
        "mean": found.mean,
        "lowest": found.lowest,
        "highest": found.highest,
        "ranges": dict(found.ranges),
        "pairs": [
            {
                "first": str(pair.first),
                "second": str(pair.second),
                "cells_rho": None if pair.cells is None else pair.cells.rho,
                "models_rho": None if pair.models is None else pair.models.rho,
                "top3": pair.top3,
                "top5": pair.top5,
                "mean_change": pair.mean_change,
                "largest_change": pair.largest_change,
                "tasks": {
                    name: None if one is None else one.rho for name, one in pair.tasks.items()
                },
            }
            for pair in found.pairs
        ],
    }


def _seeds(cube: ScoreCube, seeds: Collection[int]) -> list[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = [
        {
            "model_id": s.model_id,
            "regime": s.regime,
            "typical": s.typical,
            "widest": s.widest,
            "widest_task": s.widest_task,
            "macro_error": s.macro_error,
        }
        for s in seed_spread(cube, len(seeds))
    ]
    return list(found)
