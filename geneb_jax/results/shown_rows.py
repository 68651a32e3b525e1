"""Which of all recorded rows a table shows, in which order, and by which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from geneb_jax.benchmark import Suite, data_standing
from geneb_jax.identity import identity_digest
from geneb_jax.results.kept_rows import UnitRows
from geneb_jax.results.name_lists import listed
from geneb_jax.results.run_record import TaskFacts
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax.results.unit_keys import UnitKey

__all__ = ["identity_of", "shown_rows"]

#: The precision of a fit that is shown where the same fit was made in several.
_PRECISE = "float64"


def identity_of(key: UnitKey) -> str:
    """Digest of the embedding's identity; units of one model share the work."""
    return _digest(tuple(key.embedding.items()))


@lru_cache(maxsize=256)
def _digest(fields: tuple[tuple[str, str | int], ...]) -> str:
    return identity_digest(dict(fields))


def shown_rows(
    units: UnitRows,
    shown: Sequence[int],
    labels: Mapping[str, str],
    suite: Suite,
    files: Mapping[str, TaskFacts],
    code: str,
) -> tuple[ScoreTable, tuple[str, ...]]:
    """The rows of scores.csv, and sentences on those that other code made.

    Models are in the order of their labels, tasks and regimes as the suite has them, then probe,
    solver, C and seed.

    Args:
        units: What was read.
        shown: The units whose rows count.
        labels: Identity digest -> label.
        suite: The suite.
        files: Task id -> facts of its files.
        code: Version of the probes' code that is preferred.
    """
    if not shown:
        return units.rows.take(np.zeros(0, np.int64)), ()
    keys = [units.keys[at] for at in shown]
    label_of = [labels[identity_of(key)] for key in keys]
    task_order = {task.task_id: at for at, task in enumerate(suite.tasks)}
    regime_order = {regime.name: at for at, regime in enumerate(suite.protocol.regimes)}
    places = np.concatenate([np.arange(units.first[at], units.first[at + 1]) for at in shown])
    rows = units.rows.take(places)
    unit = np.repeat(np.arange(len(shown)), np.diff(units.first)[shown])
    # What rows of one fit share, as one number that sorts as the table does.
    group = _ranks(
        [
            (label, task_order[key.task_id], regime_order[key.regime], key.probe, key.solver)
            for label, key in zip(label_of, keys, strict=True)
        ]
    )
    strengths, strength = np.unique(rows.columns["C"], return_inverse=True)
    seeds, seed = _seed_ranks(rows, suite.protocol.seeds)
    fit = (group[unit] * len(strengths) + strength) * seeds + seed
    # Of several records of one fit the first of these is shown.
    ranked = _ranks(
        [
            (key.code != code, key.dtype != _PRECISE, units.digests[at])
            for key, at in zip(keys, shown, strict=True)
        ]
    )
    rank = rows.failed * len(shown) + ranked[unit]
    order = np.lexsort((rank, fit))
    ordered = fit[order]
    chosen = order[np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))]
    told: tuple[str, ...] = ()
    if any(key.code != code for key in keys):
        told = _of_other_code(rows, unit, order, ordered, keys, label_of, code)
    table = rows.take(chosen)
    columns, names = dict(table.columns), dict(table.names)
    unit = unit[chosen]
    columns["model_id"], names["model_id"] = _coded(label_of, unit)
    by_id = {task.task_id: task for task in suite.tasks}
    columns["category"], names["category"] = _coded(
        [by_id[key.task_id].category for key in keys], unit
    )
    columns["data"], names["data"] = _standings(table, suite, files)
    return ScoreTable(columns, names), told


def _ranks(values: Sequence[Any]) -> np.ndarray:
    """int64 ``[n]``: where each value stands among the distinct ones, in their order."""
    place = {value: at for at, value in enumerate(sorted(set(values)))}
    return np.array([place[value] for value in values], np.int64)


def _seed_ranks(rows: ScoreTable, protocol: Sequence[int]) -> tuple[int, np.ndarray]:
    """How many seeds there are, and where each row's stands: the protocol's first, in its order."""
    usual = {seed: at for at, seed in enumerate(protocol)}
    found, codes = np.unique(rows.columns["seed"], return_inverse=True)
    rank = _ranks([(usual.get(seed, len(usual)), seed) for seed in found.tolist()])
    return len(found), rank[codes]


def _coded(values: Sequence[str], unit: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """A column of texts from one text a unit."""
    codes: dict[str, int] = {}
    of_unit = np.array([codes.setdefault(value, len(codes)) for value in values], np.int32)
    return of_unit[unit], tuple(codes)


def _standings(
    table: ScoreTable, suite: Suite, files: Mapping[str, TaskFacts]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The column ``data``: it follows from the task, and from the size of its test set."""
    by_id = {task.task_id: task for task in suite.tasks}
    group, first = table.group("task_id", "n_test")
    words = []
    for task_id, n_test in zip(
        table.values("task_id", first), table.values("n_test", first), strict=True
    ):
        facts = files[task_id]
        standing = data_standing(
            suite,
            by_id[task_id],
            test_rows=facts.test_rows or n_test,
            verified_as=facts.verified_as,
        )
        words.append(standing.value)
    return _coded(words, group)


def _of_other_code(
    rows: ScoreTable,
    unit: np.ndarray,
    order: np.ndarray,
    ordered: np.ndarray,
    keys: Sequence[UnitKey],
    label_of: Sequence[str],
    code: str,
) -> tuple[str, ...]:
    """A sentence for each model and version of the code that some shown rows are still of."""
    codes = sorted({key.code for key in keys})
    version = np.array([codes.index(key.code) for key in keys], np.int64)[unit][order]
    present = codes.index(code) if code in codes else -1
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    made_anew = np.maximum.reduceat(version == present, starts)
    youngest = np.maximum.reduceat(version, starts)
    first = order[starts]
    old: dict[tuple[str, str], set[str]] = {}
    for at in np.flatnonzero(~made_anew & ~rows.failed[first]).tolist():
        of = int(unit[first[at]])
        found = old.setdefault((label_of[of], codes[youngest[at]]), set())
        found.add(keys[of].task_id)
    return tuple(
        f"rows of {label} on {listed(sorted(tasks))} were made by another version of the probes' "
        f"code, {version}, and the present one is {code}: run the model again to compare like with "
        "like"
        for (label, version), tasks in sorted(old.items())
    )
