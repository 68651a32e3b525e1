"""The answer of a sweep: each model's score at every C, and the C that training rows chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.cube_from_scores import ProbeSetting, cube_from_scores, settings_of
from geneb_jax.analysis.unit_rows import SettingRows, rows_by_unit
from geneb_jax.benchmark import Suite
from geneb_jax.results import RunScores, ScoreTable
from geneb_jax.results.fold_scores import find_fold_scores

__all__ = ["SweepLine", "sweep_lines"]


@dataclass(frozen=True, slots=True)
class SweepLine:
    """One model in one regime, probe and solver, over the tasks that it has at every C.

    Attributes:
        model_id: Its label.
        regime: The regime.
        probe: The probe, and its ``solver``.
        tasks: Tasks in the means.
        test: C -> mean of the category means on the test rows, rising in C.
        held_out: C -> the same on held-out training rows; empty where they were not scored, as in
            few-shot regimes and in folders of an earlier release.
    """

    model_id: str
    regime: str
    probe: str
    solver: str
    tasks: int
    test: Mapping[float, float]
    held_out: Mapping[float, float]

    @property
    def chosen(self) -> float | None:
        """The C with the best held-out score, the smallest of equals; None where there is none."""
        if not self.held_out:
            return None
        return max(self.held_out, key=lambda C: (self.held_out[C], -C))


def sweep_lines(runs: Sequence[RunScores]) -> tuple[SweepLine, ...]:
    """Every model that was probed with several C, in order of appearance."""
    found: list[SweepLine] = []
    for run in runs:
        kinds: dict[tuple[str, str], list[ProbeSetting]] = {}
        for setting in settings_of(run.scores):
            kinds.setdefault((setting.probe, setting.solver), []).append(setting)
        for settings in kinds.values():
            if len(settings) > 1:
                found += _lines(run, settings)
    return tuple(found)


def _lines(run: RunScores, settings: Sequence[ProbeSetting]) -> list[SweepLine]:
    table = ScoreTable.of(run.scores)
    cubes = {s.C: cube_from_scores(table, run.suite, setting=s)[0] for s in settings}
    labels = list(dict.fromkeys(label for cube in cubes.values() for label in cube.model_ids))
    units: dict[float, SettingRows] = {}
    lines = []
    for label in labels:
        for regime in next(iter(cubes.values())).regimes:
            scores = {
                C: cube.mcc[cube.model_index(label), cube.regime_index(regime)]
                for C, cube in cubes.items()
                if label in cube.model_ids
            }
            scored = {C: values for C, values in scores.items() if np.isfinite(values).any()}
            if len(scored) < 2:
                continue
            common = np.all([np.isfinite(values) for values in scored.values()], axis=0)
            if not common.any():
                continue
            test = {C: _macro(run.suite, values, common) for C, values in sorted(scored.items())}
            lowest = min(test)  # what was held out stands beside a unit, whatever its C
            if lowest not in units:
                setting = next(one for one in settings if one.C == lowest)
                units[lowest] = rows_by_unit(table, setting)
            held = _held_out(run, units[lowest], label, regime, common, list(test))
            probe, solver = settings[0].probe, settings[0].solver
            lines.append(SweepLine(label, regime, probe, solver, int(common.sum()), test, held))
    return lines


def _held_out(
    run: RunScores,
    rows: SettingRows,
    label: str,
    regime: str,
    common: np.ndarray,
    strengths: Sequence[float],
) -> dict[float, float]:
    if run.folder is None:
        return {}
    values = np.full((len(strengths), len(run.suite.tasks)), np.nan)
    for place in np.flatnonzero(common).tolist():
        unit = rows.get((label, regime, run.suite.tasks[place].task_id), ())
        found = find_fold_scores(run.folder, unit)
        if found is None:
            return {}
        for k, C in enumerate(strengths):
            values[k, place] = found.get(C, np.nan)
    if not np.isfinite(values[:, common]).all():
        return {}
    return {C: _macro(run.suite, values[k], common) for k, C in enumerate(strengths)}


def _macro(suite: Suite, values: np.ndarray, tasks: np.ndarray) -> float:
    by_category: dict[str, list[float]] = {}
    for k in np.flatnonzero(tasks).tolist():
        by_category.setdefault(suite.tasks[k].category, []).append(float(values[k]))
    return float(np.mean([np.mean(members) for members in by_category.values()]))
