"""Where a sequence stands in a task's files: for messages about it."""

from __future__ import annotations

from pathlib import Path

from geneb_jax.benchmark import Task
from geneb_jax.data.csv_columns import parse_columns, read_file_bytes
from geneb_jax.data.sources import TaskSource

__all__ = ["first_row_with"]


def first_row_with(text: str, task: Task, source: TaskSource) -> tuple[Path, int] | None:
    """File and line of the first row that holds exactly this text; None where none does.

    Raises:
        DataError: if a file cannot be read any more.
    """
    for path in source.files(task.task_id).paths:
        content, _ = read_file_bytes(path)
        columns = parse_columns(content, path, required=("text",))
        for row, found in enumerate(columns.columns["text"]):
            if found == text:
                return path, columns.line(row)
    return None
