"""Which tasks a run covers, where their files are, and what is wrong with some of them."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.benchmark import Suite, Task, load_suite, select_tasks
from geneb_jax.data import (
    TaskSource,
    TaskTable,
    fetched_data_folder,
    find_task_files,
    read_task,
    task_fingerprint,
)
from geneb_jax.errors import DataError
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import RunRequest

__all__ = ["ChosenTasks", "choose_tasks", "read_tables"]


@dataclass(frozen=True, slots=True)
class ChosenTasks:
    """The tasks of a run.

    Attributes:
        suite: The suite they belong to.
        source: The folder of their files.
        fingerprints: Task -> SHA-256 over its files, in the suite's order; only usable tasks.
        failures: Task -> why it cannot be used.
        notes: Sentences for the user.
    """

    suite: Suite
    source: TaskSource
    fingerprints: dict[Task, str]
    failures: dict[Task, str]
    notes: tuple[str, ...]


def choose_tasks(request: RunRequest) -> ChosenTasks:
    """Resolve the suite, the chosen tasks and their files; nothing is parsed yet.

    With explicit patterns a chosen task without a file is a failure; without patterns the run
    covers the tasks whose files are there.

    Raises:
        ConfigError: if the suite cannot be read.
        SelectionError: if a pattern matches no task.
        DataError: if there is no folder of files, or no chosen task has one.
    """
    suite = load_suite(request.suite)
    folder = request.data_dir or suite.folder or fetched_data_folder(suite)
    if request.data_dir is None and not folder.is_dir():
        raise DataError(
            f"the files of the suite {suite.name} are not here",
            where=folder,
            hint="give their folder with --data-dir, or bring them with: geneb-jax data fetch",
        )
    wanted = select_tasks(suite, request.tasks)
    found = find_task_files(suite, folder)
    if not request.tasks:
        there = set(found.tasks)
        wanted = tuple(task for task in wanted if task in there)
    notes = []
    if found.other_ids:
        shown = ", ".join(found.other_ids[:3]) + (" ..." if len(found.other_ids) > 3 else "")
        notes.append(
            f"{len(found.other_ids)} files are no task of the suite {suite.name} and are left out: "
            f"{shown} (a folder with a suite.toml is a suite of its own)"
        )
    source = TaskSource(folder)
    fingerprints: dict[Task, str] = {}
    failures: dict[Task, str] = {}
    for task in wanted:
        try:
            fingerprints[task] = task_fingerprint(task, source)
        except DataError as error:
            failures[task] = error.message
    if not fingerprints:
        raise DataError(
            f"no task of the suite {suite.name} can be used",
            where=folder,
            cause=next(iter(failures.values()), "there is no file named after one of its tasks"),
            hint="`geneb-jax list tasks` shows the ids that files must be named after",
        )
    return ChosenTasks(suite, source, fingerprints, failures, tuple(notes))


def read_tables(
    chosen: ChosenTasks, tasks: list[Task], observer: RunObserver
) -> tuple[dict[Task, TaskTable], dict[Task, str]]:
    """Parse the files of ``tasks``: the tables, and why the others cannot be used.

    Raises:
        DataError: if none of all chosen tasks is left; the first complaint.
    """
    tables: dict[Task, TaskTable] = {}
    failures: dict[Task, str] = {}
    first: DataError | None = None
    for position, task in enumerate(tasks, 1):
        try:
            tables[task] = read_task(task, chosen.source)
        except DataError as error:
            first = first or error
            failures[task] = error.message
        observer.reading(position, len(tasks))
    observer.finished()
    if first is not None and len(failures) == len(chosen.fingerprints):
        raise first
    return tables, failures
