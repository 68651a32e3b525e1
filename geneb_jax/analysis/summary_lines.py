"""The lines of summary.csv as columns, a setting at a time; what they mean is said there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.benchmark import DataStanding, Suite
from geneb_jax.errors import DataError
from geneb_jax.results import means_over_seeds, sds_over_seeds, seeds_of_the_mean
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax_probes.endings import Ending

__all__ = ["LEAST_NEAR", "METRICS", "SettingLines", "SummarySetting", "summary_lines"]

#: How near data are to the benchmark's, the least near first.
LEAST_NEAR = (
    DataStanding.UNLIKE.value,
    DataStanding.NOTHING_STATED.value,
    DataStanding.SIZE_ALIKE.value,
    DataStanding.VERIFIED.value,
)
METRICS = ("mcc", "accuracy", "macro_f1", "auroc", "auprc", "brier")


@dataclass(frozen=True, slots=True)
class SummarySetting:
    """What a mean over seeds and tasks keeps fixed."""

    model_id: str
    regime: str
    C: float
    probe: str
    solver: str


@dataclass(frozen=True, slots=True, eq=False)
class _SettingScores:
    """What the rows of one setting say, by task of the suite.

    Attributes:
        there: Bool ``[task]``: whether it has rows.
        scores: float64 ``[metric, seed, task]``; NaN where a mean is withheld.
        failed: int64 ``[task]``, fits without a score.
        stopped: int64 ``[task]``, scored fits that did not converge.
        standing: Places in ``LEAST_NEAR`` of the least near of the scored fits, int64 ``[task]``;
            its length for none.
    """

    there: np.ndarray
    scores: np.ndarray
    failed: np.ndarray
    stopped: np.ndarray
    standing: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class SettingLines:
    """The rows of one setting as columns.

    Attributes:
        setting: Theirs.
        seed_count: Seeds of the setting.
        names: Level, task id and category of each.
        counts: ``failed_count``, ``not_converged_count``, ``task_count`` and ``tasks_expected`` of
            each, and the place in ``LEAST_NEAR`` of its data.
        means: float64 ``[line, metric]``; NaN where withheld.
        sds: float64 ``[line, metric]``; NaN for a single seed.
    """

    setting: SummarySetting
    seed_count: int
    names: Sequence[tuple[str, str, str]]
    counts: Sequence[tuple[int, int, int, int, int]]
    means: np.ndarray
    sds: np.ndarray


def summary_lines(suite: Suite, table: ScoreTable) -> Iterator[SettingLines]:
    """Settings in order of appearance."""
    _require_tasks(suite, table)
    names = ("model_id", "regime", "C", "probe", "solver")
    group, first = table.group(*names)
    # Task by task, which decides the order of seeds that are not the protocol's.
    ordered = table.take(np.lexsort((table.group(*names, "task_id")[0], group)))
    ends = np.cumsum(np.bincount(group, minlength=len(first)))[: len(first)].tolist()
    settings = zip(*(table.values(name, first) for name in names), strict=True)
    start = 0
    for setting, stop in zip(settings, ends, strict=True):
        found = _scores_of(suite, ordered.take(slice(start, stop)))
        start = stop
        yield _lines(suite, SummarySetting(*setting), found)


def _require_tasks(suite: Suite, table: ScoreTable) -> None:
    categories = {task.task_id: task.category for task in suite.tasks}
    for place in table.group("task_id", "category")[1].tolist():
        row = table[place]
        if categories.get(row.task_id) != row.category:
            raise DataError(
                f"the suite {suite.name} has no task {row.task_id!r} in {row.category!r}",
                hint="summarise scores with the suite they were made with",
            )


def _scores_of(suite: Suite, table: ScoreTable) -> _SettingScores:
    places = {task.task_id: k for k, task in enumerate(suite.tasks)}
    # Names are those of a larger table: tasks that left the suite have no row here.
    task = np.array([places.get(name, -1) for name in table.names["task_id"]], np.int64)
    task, tasks = task[table.columns["task_id"]], len(suite.tasks)
    seeds = seeds_of_the_mean(table.values("seed", table.group("seed")[1]), suite.protocol.seeds)
    at_seed = {seed: at for at, seed in enumerate(seeds)}
    seed = np.array([at_seed.get(value, -1) for value in table.values("seed")], np.int64)
    scored = ~table.failed
    # Where rows of one task and seed repeat, the last one counts.
    cells = np.full((len(seeds), tasks), -1)
    chosen = np.flatnonzero(scored & (seed >= 0))
    cells[seed[chosen], task[chosen]] = chosen
    whole = (cells >= 0).all(axis=0)
    scores = np.full((len(METRICS), len(seeds), tasks), np.nan)
    for metric, name in enumerate(METRICS):
        scores[metric][:, whole] = table.columns[name][cells[:, whole]]
    words = [
        LEAST_NEAR.index(word) if word in LEAST_NEAR else len(LEAST_NEAR)
        for word in table.names["data"]
    ]
    standing = np.full(tasks, len(LEAST_NEAR))
    near = np.array(words, np.int64)[table.columns["data"]]
    np.minimum.at(standing, task[scored], near[scored])
    ended = np.array([Ending(word).converged for word in table.names["status"]], bool)
    stopped = scored & ~ended[table.columns["status"]]
    return _SettingScores(
        there=np.bincount(task, minlength=tasks) > 0,
        scores=scores,
        failed=np.bincount(task[~scored], minlength=tasks),
        stopped=np.bincount(task[stopped], minlength=tasks),
        standing=standing,
    )


def _lines(suite: Suite, setting: SummarySetting, found: _SettingScores) -> SettingLines:
    """Tasks and categories that have rows, then macro and micro."""
    _, seed_count, tasks = found.scores.shape
    # float64 [metric, task]: means over seeds, as in every score cube, and their spread.
    flat = np.moveaxis(found.scores, 1, 2).reshape(-1, seed_count)
    of_tasks = means_over_seeds(flat).reshape(-1, tasks)
    of_spreads = sds_over_seeds(flat).reshape(-1, tasks)
    known = np.isfinite(of_tasks[0])
    names: list[tuple[str, str, str]] = []
    counts: list[tuple[int, int, int, int, int]] = []
    means: list[np.ndarray] = []
    by_seeds: list[np.ndarray] = []

    def add(level: str, members: Sequence[int], task_id: str = "", category: str = "") -> None:
        chosen = list(members)
        failed, stopped, scored = (
            int(one[chosen].sum()) for one in (found.failed, found.stopped, known)
        )
        names.append((level, task_id, category))
        counts.append((failed, stopped, scored, len(chosen), int(found.standing[chosen].min())))

    there = np.flatnonzero(found.there)
    columns = (
        there,
        found.failed[there],
        found.stopped[there],
        known[there],
        found.standing[there],
    )
    for k, failed, stopped, scored, standing in zip(*map(np.ndarray.tolist, columns), strict=True):
        names.append(("task", suite.tasks[k].task_id, suite.tasks[k].category))
        counts.append((failed, stopped, int(scored), 1, standing))
    for category in suite.categories:
        members = [k for k, task in enumerate(suite.tasks) if task.category == category]
        if found.there[members].any():
            # Of the tasks that are there: ``task_count`` says how many.
            some = [k for k in members if known[k]] or members
            means.append(mean_of(of_tasks[:, some]))
            by_seeds.append(mean_of(found.scores[:, :, some]))
            add("category", members, category=category)
    index = {name: k for k, name in enumerate(suite.categories)}
    place = np.array([index[task.category] for task in suite.tasks], dtype=np.int64)
    for level in ("macro", "micro"):
        for one, into in ((of_tasks, means), (found.scores, by_seeds)):
            into.append(mean_of(category_means(one, place) if level == "macro" else one))
        add(level, range(tasks))
    over = sds_over_seeds(np.concatenate(by_seeds)).reshape(len(by_seeds), -1)
    return SettingLines(
        setting,
        seed_count,
        names,
        counts,
        means=np.concatenate([of_tasks.T[there], means]),
        sds=np.concatenate([of_spreads.T[there], over]),
    )
