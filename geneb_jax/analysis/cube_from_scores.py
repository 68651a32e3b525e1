"""From score rows to a score cube: what is refused, what is left out, what is flagged.

1. Refused, as the table was cut or edited by hand: two rows about the same fit, a category that
   contradicts the suite. (A score that is not a number in range never becomes a ``ScoreRow``.)
2. Left out with a notice: tasks and regimes that the suite does not have, failed rows, cells that
   lack some of the seeds their model was run with.
3. Kept apart with a notice: rows of other settings (C, probe, solver) than the one chosen.
4. Flagged on the model: whatever makes its scores incomparable with the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.results import (
    PROTOCOL_PROBE,
    PROTOCOL_SOLVER,
    ModelFacts,
    ScoreRow,
    listed,
    mean_over_seeds,
    metric_of,
    rows_of_every_seed,
    sd_over_seeds,
    seeds_of_the_mean,
)

__all__ = ["ProbeSetting", "chosen_setting", "cube_from_scores", "setting_of", "settings_of"]


@dataclass(frozen=True, slots=True, order=True)
class ProbeSetting:
    """How a score was probed; scores of different settings never mix."""

    probe: str
    C: float
    solver: str

    def __str__(self) -> str:
        return f"{self.probe}, C = {self.C:g}, {self.solver} solver"


def setting_of(row: ScoreRow) -> ProbeSetting:
    """How a row was probed."""
    return ProbeSetting(row.probe, row.C, row.solver)


def settings_of(scores: Iterable[ScoreRow]) -> tuple[ProbeSetting, ...]:
    """The settings present in the rows, sorted."""
    return tuple(sorted({setting_of(row) for row in scores}))


def chosen_setting(scores: Iterable[ScoreRow], suite: Suite) -> ProbeSetting | None:
    """The setting nearest the protocol's: its probe, then its C, then its solver."""

    def distance(setting: ProbeSetting) -> tuple[bool, float, bool]:
        return (
            setting.probe != PROTOCOL_PROBE,
            abs(math.log(setting.C / suite.protocol.C)),
            setting.solver != PROTOCOL_SOLVER,
        )

    return min(settings_of(scores), key=distance, default=None)


def cube_from_scores(
    scores: Sequence[ScoreRow],
    suite: Suite,
    facts: Mapping[str, ModelFacts] | None = None,
    *,
    setting: ProbeSetting | None = None,
    metric: str = "mcc",
) -> tuple[ScoreCube, tuple[str, ...]]:
    """The cube of a run's rows in one setting, and what a reader must know about it.

    Args:
        scores: Rows of scores.csv.
        suite: The suite they were made with.
        facts: What is known of each model; a model that is not in it is known by its id only.
        setting: The probe setting; the one nearest the protocol's by default.
        metric: A key of :data:`geneb_jax.results.METRIC_RANGES`.

    Returns:
        The cube over the suite's tasks and regimes, and notices as sentences.

    Raises:
        DataError: for rows that contradict each other or the suite.
    """
    setting = setting or chosen_setting(scores, suite)
    notices: list[str] = []
    used = _rows_of_suite([row for row in scores if setting_of(row) == setting], suite, notices)
    _refuse_repeats(used)
    _count_other_settings(scores, setting, notices)
    _count_failures(used, notices)
    seeds = _seeds_of(used, suite, notices)
    labels = tuple(dict.fromkeys(row.model_id for row in used))
    mcc, seed_sd = _means(used, labels, seeds, suite, notices, metric)
    test_rows = np.zeros(len(suite.tasks), dtype=np.int64)
    task_place = {task.task_id: place for place, task in enumerate(suite.tasks)}
    for row in used:
        if not row.failed:
            place = task_place[row.task_id]
            test_rows[place] = max(test_rows[place], row.n_test or 0)
    reasons = _setting_reasons(setting, suite)
    known = facts or {}
    cube = ScoreCube(
        models=tuple(known.get(label, ModelFacts(label)) for label in labels),
        regimes=tuple(regime.name for regime in suite.protocol.regimes),
        tasks=suite.tasks,
        mcc=mcc,
        seed_sd=seed_sd,
        test_rows=test_rows,
        off_protocol={
            label: why
            for label in labels
            if (why := (*reasons, *_seed_reasons(label, seeds, suite)))
        },
        data=_standings(used),
        metric=metric,
    )
    return cube, tuple(notices)


def _standings(rows: Iterable[ScoreRow]) -> dict[str, dict[str, str]]:
    """Label -> task id -> how near its data are to the benchmark's, where known."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.data:
            found.setdefault(row.model_id, {})[row.task_id] = row.data
    return found


#: (label, regime) -> the seeds that its means are over.
_Seeds = Mapping[tuple[str, str], Mapping[int, None]]


def _seeds_of(rows: Iterable[ScoreRow], suite: Suite, notices: list[str]) -> _Seeds:
    present: dict[tuple[str, str], dict[int, None]] = {}
    for row in rows:
        present.setdefault((row.model_id, row.regime), {})[row.seed] = None
    chosen = {
        cell: dict.fromkeys(seeds_of_the_mean(found, suite.protocol.seeds))
        for cell, found in present.items()
    }
    further = {
        label
        for (label, regime), found in present.items()
        if len(found) > len(chosen[label, regime])
    }
    notices += [
        f"{label}: means are over the protocol's seeds; further ones are left out."
        for label in sorted(further)
    ]
    return chosen


def _means(
    rows: Iterable[ScoreRow],
    labels: Sequence[str],
    seeds: _Seeds,
    suite: Suite,
    notices: list[str],
    metric: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds and its spread, float64 ``[label, regime, task]`` each."""
    cells: dict[tuple[str, str, str], list[ScoreRow]] = {}
    for row in rows:
        cells.setdefault((row.model_id, row.regime, row.task_id), []).append(row)
    shape = (len(labels), len(suite.protocol.regimes), len(suite.tasks))
    mcc, seed_sd = np.full(shape, np.nan), np.full(shape, np.nan)
    short = unknown = 0
    for m, label in enumerate(labels):
        for r, regime in enumerate(suite.protocol.regimes):
            for t, task in enumerate(suite.tasks):
                found = cells.get((label, regime.name, task.task_id), [])
                whole = rows_of_every_seed(found, seeds.get((label, regime.name), {}))
                if not found or whole is None:
                    short += not all(row.failed for row in found)  # those count as failed
                    continue
                scores = [metric_of(row, metric) for row in whole]
                values = [score for score in scores if score is not None]
                if len(values) < len(scores):
                    unknown += 1
                    continue
                mcc[m, r, t] = mean_over_seeds(values)
                spread = sd_over_seeds(values) if regime.seeded else None
                seed_sd[m, r, t] = np.nan if spread is None else spread
    if short:
        notices.append(
            f"{short} scores lack some of the seeds their model was run with and count as missing."
        )
    if unknown:
        notices.append(
            f"{unknown} scores have no {metric} and count as missing: recorded by a release "
            "without it (run --fresh computes them), or of a test set of one class."
        )
    return mcc, seed_sd


def _rows_of_suite(
    rows: Sequence[ScoreRow], suite: Suite, notices: list[str]
) -> tuple[ScoreRow, ...]:
    category = {task.task_id: task.category for task in suite.tasks}
    regimes = {regime.name for regime in suite.protocol.regimes}
    strange = {
        "tasks": sorted({row.task_id for row in rows} - category.keys()),
        "regimes": sorted({row.regime for row in rows} - regimes),
    }
    for kind, names in strange.items():
        if names:
            notices.append(
                f"{len(names)} {kind} are not of the suite {suite.name!r} and are left out: "
                f"{listed(names)}."
            )
    kept = tuple(row for row in rows if row.task_id in category and row.regime in regimes)
    for row in kept:
        if row.category != category[row.task_id]:
            raise DataError(
                f"task {row.task_id!r} is filed under {row.category!r}, but the suite "
                f"{suite.name!r} has it under {category[row.task_id]!r}",
                cause="the scores come from another suite, or the table was edited",
                hint="report with the suite the scores were made with",
            )
    return kept


def _refuse_repeats(rows: Sequence[ScoreRow]) -> None:
    seen = set()
    for row in rows:
        if row.fit in seen:
            raise DataError(
                f"two rows for model {row.model_id!r}, task {row.task_id!r}, regime {row.regime}, "
                f"seed {row.seed}",
                cause="two runs were pasted together, or the table was edited",
                hint="keep one of the rows, or run geneb-jax run again to rewrite the table",
            )
        seen.add(row.fit)


def _count_other_settings(
    scores: Sequence[ScoreRow], setting: ProbeSetting | None, notices: list[str]
) -> None:
    others = settings_of(row for row in scores if setting_of(row) != setting)
    if setting is None or not others:
        return
    shown = {row.model_id for row in scores if setting_of(row) == setting}
    absent = sorted({row.model_id for row in scores} - shown)
    notices.append(
        f"Shown are scores of one probe setting ({setting}); others are only in the agreement of "
        f"settings: {'; '.join(map(str, others))}."
        + (f" {listed(absent)}: not shown, having no score of that one." if absent else "")
    )


def _count_failures(rows: Sequence[ScoreRow], notices: list[str]) -> None:
    failed = [row for row in rows if row.failed]
    if failed:
        tasks = sorted({row.task_id for row in failed})
        notices.append(
            f"{len(failed)} fits failed and count as missing ({listed(tasks)}); "
            "scores.csv says why."
        )


def _setting_reasons(setting: ProbeSetting | None, suite: Suite) -> tuple[str, ...]:
    if setting is None:
        return ()
    reasons = []
    if setting.probe != PROTOCOL_PROBE:
        reasons.append(f"probe {setting.probe} instead of {PROTOCOL_PROBE}")
    elif setting.solver != PROTOCOL_SOLVER:
        reasons.append(
            f"{setting.solver} solver instead of {PROTOCOL_SOLVER} (scikit-learn up to 1.8)"
        )
    if setting.C != suite.protocol.C:
        reasons.append(f"C = {setting.C:g} instead of {suite.protocol.C:g}")
    return tuple(reasons)


def _seed_reasons(label: str, seeds: _Seeds, suite: Suite) -> tuple[str, ...]:
    wanted = set(suite.protocol.seeds)
    for regime in suite.protocol.regimes:
        found = seeds.get((label, regime.name), {})
        if regime.seeded and found and set(found) != wanted:
            named = ", ".join(map(str, sorted(found)))
            return (f"few-shot seeds {named} instead of the protocol's",)
    return ()
