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
from dataclasses import dataclass, replace

import numpy as np

from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.results import (
    PROTOCOL_PROBE,
    PROTOCOL_SOLVER,
    ModelFacts,
    ScoreRow,
    ScoreTable,
    listed,
    means_over_seeds,
    sds_over_seeds,
    seeds_of_the_mean,
)

__all__ = [
    "ProbeSetting",
    "chosen_setting",
    "cube_from_scores",
    "rows_in",
    "setting_of",
    "settings_of",
]


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
    table = ScoreTable.of(scores)
    firsts = table.rows(table.group("probe", "C", "solver")[1])
    return tuple(sorted({setting_of(row) for row in firsts}))


def rows_in(scores: Iterable[ScoreRow], setting: ProbeSetting | None) -> ScoreTable:
    """The rows of one setting, in their order; None has none."""
    table = ScoreTable.of(scores)
    if setting is None:
        return table.take(np.zeros(0, np.int64))
    # Every metric of one setting is asked for in turn, so the last one's rows are held.
    of, rows = table.derived.get("rows in", (None, table))
    if of != setting:
        rows = table.where(probe=setting.probe, C=setting.C, solver=setting.solver)
        table.derived["rows in"] = setting, rows
    return rows


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
    table = ScoreTable.of(scores)
    setting = setting or chosen_setting(table, suite)
    # A report asks for the same scores several times, with other facts beside them.
    known = table.derived.get(("cube", id(suite), setting, metric))
    if known is None:
        known = suite, *_bare_cube(table, suite, setting, metric)
        table.derived["cube", id(suite), setting, metric] = known
    _, bare, notices = known
    found = facts or {}
    cube = replace(
        bare,
        models=tuple(found.get(model.label, model) for model in bare.models),
        mcc=bare.mcc.copy(),
        seed_sd=bare.seed_sd.copy(),
        test_rows=bare.test_rows.copy(),
    )
    return cube, notices


def _bare_cube(
    table: ScoreTable, suite: Suite, setting: ProbeSetting | None, metric: str
) -> tuple[ScoreCube, tuple[str, ...]]:
    """The cube of models of which nothing is known but their labels."""
    notices: list[str] = []
    used = _rows_of_suite(rows_in(table, setting), suite, notices)
    _refuse_repeats(used)
    _count_other_settings(table, setting, notices)
    _count_failures(used, notices)
    seeds = _seeds_of(used, suite, notices)
    labels = tuple(used.values("model_id", used.group("model_id")[1]))
    mcc, seed_sd = _means(used, labels, seeds, suite, notices, metric)
    test_rows = np.zeros(len(suite.tasks), dtype=np.int64)
    scored = np.flatnonzero(~used.failed)
    n_test = np.array([n or 0 for n in used.values("n_test", scored)], np.int64)
    np.maximum.at(test_rows, _task_places(used, suite)[scored], n_test)
    reasons = _setting_reasons(setting, suite)
    cube = ScoreCube(
        models=tuple(ModelFacts(label) for label in labels),
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


def _task_places(table: ScoreTable, suite: Suite) -> np.ndarray:
    """int64 ``[row]``: the place of each row's task in the suite."""
    places = {task.task_id: place for place, task in enumerate(suite.tasks)}
    of_code = np.array([places.get(name, -1) for name in table.names["task_id"]], np.int64)
    found: np.ndarray = of_code[table.columns["task_id"]]
    return found


def _standings(table: ScoreTable) -> dict[str, dict[str, str]]:
    """Label -> task id -> how near its data are to the benchmark's, where known."""
    found: dict[str, dict[str, str]] = {}
    # One row of each word suffices, the last ones as they came.
    group, first = table.group("model_id", "task_id", "data")
    last = np.zeros(len(first), np.int64)
    last[group] = np.arange(len(table))
    places = np.sort(np.concatenate([first, last]))
    cells = (table.values(name, places) for name in ("model_id", "task_id", "data"))
    for label, task_id, word in zip(*cells, strict=True):
        if word:
            found.setdefault(label, {})[task_id] = word
    return found


#: (label, regime) -> the seeds that its means are over.
_Seeds = Mapping[tuple[str, str], Mapping[int, None]]


def _seeds_of(table: ScoreTable, suite: Suite, notices: list[str]) -> _Seeds:
    present: dict[tuple[str, str], dict[int, None]] = {}
    first = table.group("model_id", "regime", "seed")[1]
    columns = (table.values(name, first) for name in ("model_id", "regime", "seed"))
    for label, regime, seed in zip(*columns, strict=True):
        present.setdefault((label, regime), {})[seed] = None
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
    table: ScoreTable,
    labels: Sequence[str],
    seeds: _Seeds,
    suite: Suite,
    notices: list[str],
    metric: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds and its spread, float64 ``[label, regime, task]`` each."""
    shape = (len(labels), len(suite.protocol.regimes), len(suite.tasks))
    mcc, seed_sd = np.full(shape, np.nan), np.full(shape, np.nan)
    failed = table.failed
    scored = table.take(~failed) if failed.any() else table
    group, first = scored.group("model_id", "regime")
    task = _task_places(scored, suite)
    column = -scored.columns["brier"] if metric == "neg_brier" else scored.columns[metric]
    label_place = {label: m for m, label in enumerate(labels)}
    regime_place = {regime.name: r for r, regime in enumerate(suite.protocol.regimes)}
    seed_group, first_of_seed = scored.group("seed")
    known_seeds = scored.values("seed", first_of_seed)
    seeded = np.array([regime.seeded for regime in suite.protocol.regimes], bool)
    short = unknown = 0
    found: dict[int, list[tuple[np.ndarray, ...]]] = {}
    cells_of = zip(scored.values("model_id", first), scored.values("regime", first), strict=True)
    for at, (label, regime) in enumerate(cells_of):
        wanted = list(seeds[label, regime])
        m, r = label_place[label], regime_place[regime]
        mine = np.flatnonzero(group == at)
        places = {seed: place for place, seed in enumerate(wanted)}
        of_code = np.array([places.get(value, -1) for value in known_seeds], np.int64)
        seed = of_code[seed_group[mine]]
        cells = np.full((len(suite.tasks), len(wanted)), -1)
        kept = seed >= 0
        cells[task[mine][kept], seed[kept]] = mine[kept]
        whole = (cells >= 0).all(axis=1)
        # A task without any scored fit counts as failed.
        short += int((np.bincount(task[mine], minlength=len(suite.tasks)) > 0)[~whole].sum())
        values = column[cells[whole]]
        known = ~np.isnan(values).any(axis=1)
        unknown += int((~known).sum())
        there = np.flatnonzero(whole)[known]
        of = (np.full(len(there), m), np.full(len(there), r), there)
        found.setdefault(len(wanted), []).append((*of, values[known]))
    for parts in found.values():  # at once for all that have so many seeds
        label_at, regime_at, task_at, values = (
            np.concatenate(part) for part in zip(*parts, strict=True)
        )
        mcc[label_at, regime_at, task_at] = means_over_seeds(values)
        few = seeded[regime_at]  # the spread of the full regime is zero and says nothing
        seed_sd[label_at[few], regime_at[few], task_at[few]] = sds_over_seeds(values[few])
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


def _rows_of_suite(table: ScoreTable, suite: Suite, notices: list[str]) -> ScoreTable:
    category = {task.task_id: task.category for task in suite.tasks}
    regimes = {regime.name for regime in suite.protocol.regimes}
    there = {
        "tasks": table.values("task_id", table.group("task_id")[1]),
        "regimes": table.values("regime", table.group("regime")[1]),
    }
    strange = {
        "tasks": sorted(set(there["tasks"]) - category.keys()),
        "regimes": sorted(set(there["regimes"]) - regimes),
    }
    for kind, names in strange.items():
        if names:
            notices.append(
                f"{len(names)} {kind} are not of the suite {suite.name!r} and are left out: "
                f"{listed(names)}."
            )
    keep = np.ones(len(table), bool)
    for name, known in (("task_id", category.keys()), ("regime", regimes)):
        usual = np.array([one in known for one in table.names[name]], bool)
        keep &= usual[table.columns[name]]
    kept = table if keep.all() else table.take(keep)
    for row in kept.rows(kept.group("task_id", "category")[1]):
        if row.category != category[row.task_id]:
            raise DataError(
                f"task {row.task_id!r} is filed under {row.category!r}, but the suite "
                f"{suite.name!r} has it under {category[row.task_id]!r}",
                cause="the scores come from another suite, or the table was edited",
                hint="report with the suite the scores were made with",
            )
    return kept


def _refuse_repeats(table: ScoreTable) -> None:
    group, first = table.group("model_id", "task_id", "regime", "seed", "C", "probe", "solver")
    if len(first) < len(table):
        again = np.flatnonzero(first[group] != np.arange(len(table)))
        row = table[int(again[0])]
        raise DataError(
            f"two rows for model {row.model_id!r}, task {row.task_id!r}, regime {row.regime}, "
            f"seed {row.seed}",
            cause="two runs were pasted together, or the table was edited",
            hint="keep one of the rows, or run geneb-jax run again to rewrite the table",
        )


def _count_other_settings(
    table: ScoreTable, setting: ProbeSetting | None, notices: list[str]
) -> None:
    others = tuple(one for one in settings_of(table) if one != setting)
    if setting is None or not others:
        return
    mine = rows_in(table, setting)
    shown = set(mine.values("model_id", mine.group("model_id")[1]))
    absent = sorted(set(table.values("model_id", table.group("model_id")[1])) - shown)
    notices.append(
        f"Shown are scores of one probe setting ({setting}); others are only in the agreement of "
        f"settings: {'; '.join(map(str, others))}."
        + (f" {listed(absent)}: not shown, having no score of that one." if absent else "")
    )


def _count_failures(table: ScoreTable, notices: list[str]) -> None:
    failed = table.take(table.failed)
    if len(failed):
        tasks = sorted(failed.values("task_id", failed.group("task_id")[1]))
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
