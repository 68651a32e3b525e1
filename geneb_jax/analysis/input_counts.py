"""What a model did not see of its tasks' sequences, from the counts that the rows carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from geneb_jax.benchmark import Suite
from geneb_jax.results import ScoreRow, ScoreTable, listed

__all__ = ["input_sentences"]


def input_sentences(
    rows: Iterable[ScoreRow],
    suite: Suite,
    models: Sequence[str] | None = None,
    *,
    titles: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """A sentence a model on letters cut off, windows, unknown tokens and empty rows.

    Unknown letters alone are not spoken of here: what a model does with them is its own business,
    and their number is in scores.csv.

    Args:
        rows: Rows of scores.csv.
        suite: Their suite.
        models: Labels to speak of; all by default.
        titles: Label -> the name to call the model by; the label by default.
    """
    names = {task.task_id: task.label for task in suite.tasks}
    by_model: dict[str, dict[str, ScoreRow]] = {}
    table = ScoreTable.of(rows)
    for row in table.rows(table.group("model_id", "task_id")[1]):
        if row.task_id in names and (models is None or row.model_id in models):
            by_model.setdefault(row.model_id, {}).setdefault(row.task_id, row)
    said = []
    for label, tasks in by_model.items():
        model = (titles or {}).get(label, label)
        cut = {task: row.cut_bp for task, row in tasks.items() if row.cut_bp}
        if cut:
            most = sorted(cut, key=lambda task: -(cut[task] or 0))
            said.append(
                f"{model}: {sum(filter(None, cut.values())):,} letters of {len(cut)} of "
                f"{len(tasks)} tasks are beyond its context and were cut off "
                f"({listed([names[task] for task in most], 3)}). --overlong windows reads them."
            )
        said += [
            f"{model}: {count:,} {what} in {len(of)} of {len(tasks)} tasks "
            f"({listed([names[task] for task in of], 3)})."
            for what, of, count in _others(tasks)
        ]
    return tuple(said)


def _others(tasks: dict[str, ScoreRow]) -> list[tuple[str, list[str], int]]:
    """What, in which tasks, how many; of what there is any."""
    counted = []
    for what, name in (
        ("tokens unknown to its vocabulary", "unknown_tokens"),
        ("rows without any token", "empty"),
    ):
        found = {task: getattr(row, name) for task, row in tasks.items() if getattr(row, name)}
        if found:
            counted.append((what, list(found), sum(found.values())))
    return counted
