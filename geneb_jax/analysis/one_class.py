"""Probes that take every test row for one class: what an MCC of exactly 0 often is.

A constant guess of class k has MCC 0, accuracy ``a = n_k / n`` and macro-F1 ``2 a / (1 + a) / K``
over the K classes that occur, so the three scores of a row show it without its predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from geneb_jax.benchmark import Suite
from geneb_jax.results import ScoreRow, ScoreTable, listed

__all__ = ["one_class_sentences", "predicts_one_class"]

_ROUNDING = 1e-12
#: Classes in training or test set that a row's macro-F1 may be a mean over.
_MOST_CLASSES = 1000


def predicts_one_class(row: ScoreRow) -> bool:
    """Whether the fit of a row took all test rows for one and the same class."""
    if row.failed or row.mcc != 0.0 or not row.accuracy or not row.macro_f1:
        return False
    classes = 2.0 * row.accuracy / (1.0 + row.accuracy) / row.macro_f1
    return 1.5 < classes < _MOST_CLASSES and abs(classes - round(classes)) <= _ROUNDING * classes


def one_class_sentences(
    rows: Iterable[ScoreRow],
    suite: Suite,
    models: Sequence[str] | None = None,
    *,
    titles: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """A sentence a model and setting on the tasks where its probe predicts one class.

    Args:
        rows: Rows of scores.csv; of untrained controls nothing else is expected.
        suite: Their suite; its first regime is looked at, in which all training rows count.
        models: Labels to speak of; all by default.
        titles: Label -> the name to call the model by; the label by default.
    """
    regime = suite.protocol.regimes[0].name
    tasks = {task.task_id: task.label for task in suite.tasks}
    scored: dict[tuple[str, float, str], dict[str, bool]] = {}
    table = ScoreTable.of(rows)
    table = table.take(table.equal("regime", regime) & ~table.failed)
    # Of rows that do not look so, one of a task says it.
    zero = table.columns["mcc"] == 0.0
    other = np.flatnonzero(~zero)
    _, first = table.take(other).group("model_id", "C", "probe", "task_id", "weights")
    for row in table.rows(np.sort(np.concatenate([np.flatnonzero(zero), other[first]]))):
        if row.task_id not in tasks:
            continue
        if row.weights.startswith("random:") or (models is not None and row.model_id not in models):
            continue
        found = scored.setdefault((row.model_id, row.C, row.probe), {})
        found[row.task_id] = found.get(row.task_id, True) and predicts_one_class(row)
    said = []
    for (label, C, probe), by_task in scored.items():
        model = (titles or {}).get(label, label)
        silent = [tasks[task] for task, constant in by_task.items() if constant]
        if not silent:
            continue
        where = f" at C = {C:g}" if probe == "logistic" else ""
        count = f"{len(silent)} of {len(by_task)} tasks"
        said.append(
            f"{model} predicts one class on {count}{where} ({listed(silent, 3)}), so its MCC there "
            f"is 0. {_cause(len(silent) == len(by_task), C, probe)}"
        )
    return tuple(said)


def _cause(everywhere: bool, C: float, probe: str) -> str:
    if everywhere:
        return (
            "On every task: its vectors may be all alike (unknown letters, a pooling that sees one "
            "token), or their numbers small for the penalty."
        )
    if probe == "logistic":
        return (
            "Its features are weak there, or small for the penalty: "
            f"--C {C:g},{10 * C:g},{100 * C:g} shows which."
        )
    return "Its features are weak there."
