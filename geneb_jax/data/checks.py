"""Check a whole folder of task files: every faulty task is named, not only the first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.benchmark import DataStanding, Suite, Task, data_standing, select_tasks
from geneb_jax.data.csv_columns import read_file_bytes
from geneb_jax.data.fetched_files import PinnedFiles, pinned_files
from geneb_jax.data.own_files import look_at
from geneb_jax.data.sources import FoundTasks, TaskSource, find_task_files
from geneb_jax.data.tables import TaskTable, read_task
from geneb_jax.errors import ConfigError, DataError, GenebError

__all__ = ["FolderCheck", "TaskCheck", "check_folder"]

_WORD = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """What reading one task gave: a table's facts, or the reason why it is refused.

    Attributes:
        task_id: The task, or the name of a file that is no task of the suite.
        category: Its category; None if it is no task of the suite.
        table: The table; None if refused.
        error: Why it is refused; None if it is fine.
        standing: How near its data are to the benchmark's.
    """

    task_id: str
    category: str | None
    table: TaskTable | None
    error: GenebError | None
    standing: DataStanding = DataStanding.NOTHING_STATED

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        facts: dict[str, Any] = {
            "task_id": self.task_id,
            "category": self.category,
            "in_suite": self.category is not None,
            "status": "refused" if self.error else "ok",
            "data": self.standing.value,
            "error": None,
            "message": None,
        }
        if self.error is not None:
            facts["error"] = {
                "what": self.error.what,
                "where": self.error.where,
                "cause": self.error.cause,
                "hint": self.error.hint,
            }
            facts["message"] = self.error.message
        if self.table is not None:
            facts |= {
                "train_rows": len(self.table.train_sequences),
                "test_rows": len(self.table.test_sequences),
                "class_count": len(
                    {*self.table.train_labels.tolist(), *self.table.test_labels.tolist()}
                ),
                "digest": self.table.digest,
                "notes": dict(self.table.notes),
            }
        return facts


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """The check of a folder.

    Attributes:
        checks: One entry a task with files: the suite's tasks in order, then the others.
        missing: Tasks of the suite without files.
        ignored: CSV files that are neither tasks of the suite nor look like task files.
    """

    checks: tuple[TaskCheck, ...]
    missing: tuple[Task, ...]
    ignored: tuple[str, ...]

    @property
    def refused(self) -> tuple[TaskCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.error is not None)


def check_folder(
    suite: Suite,
    folder: Path,
    patterns: Sequence[str] = (),
    *,
    on_task: Callable[[int, int], None] | None = None,
) -> FolderCheck:
    """Read every task of a folder and collect the complaints.

    Without ``patterns``, files that are no task of the suite are read too if their first line names
    a column ``text`` or ``label``; they are probably meant to be tasks.

    Args:
        suite: The suite whose task ids count.
        folder: The folder of task files.
        patterns: Restrict the check to these tasks (see :func:`select_tasks`).
        on_task: Called with (done, total) after each task.

    Raises:
        DataError: if the folder does not exist or holds no task file at all.
        SelectionError: if a pattern matches no task.
    """
    found = find_task_files(suite, folder)
    source = TaskSource(folder)
    chosen = select_tasks(suite, patterns)
    # A task asked for by its id must be there; of the others only what is there is read.
    there = set(found.tasks)
    tasks = [task for task in chosen if task in there or task.task_id in patterns]
    others, ignored = ((), ()) if patterns else _sort_others(found, source)
    total = len(tasks) + len(others)
    if not total:
        raise DataError(
            f"there is no file of a task of the suite {suite.name}",
            where=folder,
            cause=look_at(folder, suite).said or None,
            hint=f"its files are named <task_id>.csv, <task_id>.csv.gz or <task_id>/train.csv; "
            f"{look_at(folder, suite).hint()}",
        )
    checks = []
    pinned = pinned_files(suite, folder)
    for done, (task, category) in enumerate(
        [*((task, task.category) for task in tasks), *((other, None) for other in others)], 1
    ):
        checks.append(_check(task, category, source, suite, pinned))
        if on_task is not None:
            on_task(done, total)
    return FolderCheck(
        checks=tuple(checks),
        missing=tuple(task for task in chosen if task not in tasks),
        ignored=ignored,
    )


def _check(
    task: Task,
    category: str | None,
    source: TaskSource,
    suite: Suite,
    pinned: PinnedFiles | None,
) -> TaskCheck:
    try:
        table = read_task(task, source)
        standing = DataStanding.NOTHING_STATED
        if category is not None:
            standing = data_standing(
                suite,
                task,
                test_rows=len(table.test_labels),
                verified_as=pinned.verified_as(task, table.fingerprint) if pinned else "",
            )
        return TaskCheck(task.task_id, category, table, None, standing)
    except (DataError, ConfigError) as error:
        return TaskCheck(task.task_id, category, None, error)


def _sort_others(found: FoundTasks, source: TaskSource) -> tuple[tuple[Task, ...], tuple[str, ...]]:
    """Files outside the suite: those that look like tasks, and those to leave alone."""
    tasks, ignored = [], []
    for name in found.other_ids:
        task = Task(task_id=name, label=name, category="")
        if _looks_like_task(task, source):
            tasks.append(task)
        else:
            ignored.append(name)
    return tuple(tasks), tuple(ignored)


def _looks_like_task(task: Task, source: TaskSource) -> bool:
    try:
        files = source.files(task.task_id)
        if files.flat is None:
            return True
        head = read_file_bytes(files.flat).content[:4096].partition(b"\n")[0]
    except (DataError, ConfigError):
        return True
    words = {word.lower() for word in _WORD.findall(head.decode("utf-8", "replace"))}
    return not words or bool(words & {"text", "label"})
