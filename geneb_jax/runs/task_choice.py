"""Which tasks a run covers, what their files hold, and what is wrong with some of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geneb_jax.benchmark import Suite, Task, load_suite, select_tasks
from geneb_jax.data import (
    FoundTasks,
    SequenceTable,
    TaskSource,
    TaskTable,
    changed_since_import,
    distinct_sequences,
    fetched_data_folder,
    find_task_files,
    look_at,
    read_task,
    task_fingerprint,
)
from geneb_jax.errors import DataError
from geneb_jax.runs.nothing_usable import nothing_usable, run_options
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import RunRequest

__all__ = ["ChosenTasks", "ReadTasks", "TaskTables", "choose_tasks"]


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

    A task that is named by its id and has no file is a failure. Of a pattern or a category the
    tasks with files are meant, if there are any, and what is left out is said; without either the
    run covers the tasks whose files are there.

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
    wanted = asked = select_tasks(suite, request.task)
    found = find_task_files(suite, folder)
    notes = []
    if request.task:
        wanted, absent = _with_files(suite, request.task, wanted, found)
        notes += absent
    else:
        there = set(found.tasks)
        wanted = tuple(task for task in wanted if task in there)
    offered, beside = run_options(request, folder), request.out.parent
    if found.other_ids:
        hint = look_at(folder, suite).hint(offered, beside)
        notes.append(_left_out_note(found.other_ids, suite, hint))
    changed = changed_since_import(folder)
    if changed is not None:
        notes.append(f"warning: {changed}.")
    source = TaskSource(folder)
    fingerprints: dict[Task, str] = {}
    failures: dict[Task, str] = {}
    for task in wanted:
        try:
            fingerprints[task] = task_fingerprint(task, source)
        except DataError as error:
            failures[task] = error.message
    if not fingerprints:
        # Where nothing is left, the files that a pattern could do without are a cause like others.
        failures |= {task: "" for task in asked if request.task and task not in failures}
        raise nothing_usable(suite, folder, failures, offered, beside)
    return ChosenTasks(suite, source, fingerprints, failures, tuple(notes))


def _left_out_note(names: tuple[str, ...], suite: Suite, hint: str) -> str:
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return (
        f"{len(names)} files are no task of the suite {suite.name} and are left out: "
        f"{shown} ({hint})"
    )


def _with_files(
    suite: Suite, patterns: Sequence[str], wanted: Sequence[Task], found: FoundTasks
) -> tuple[tuple[Task, ...], list[str]]:
    """Of what patterns choose, what is to be run, and a sentence on each that has files in part."""
    ids, there = {task.task_id for task in suite.tasks}, set(found.tasks)
    demanded: set[Task] = set()
    notes: list[str] = []
    for pattern in dict.fromkeys(patterns):
        chosen = select_tasks(suite, (pattern,))
        present = [task for task in chosen if task in there]
        demanded.update(chosen if pattern in ids or not present else present)
        absent = [task.task_id for task in chosen if task not in there]
        if pattern not in ids and present and absent:
            shown = ", ".join(absent[:3]) + (" ..." if absent[3:] else "")
            brings = "; `geneb-jax data fetch` brings GENEB's files" if suite.dataset else ""
            notes.append(
                f"{len(absent)} of {len(chosen)} tasks of {pattern} have no file and are left out: "
                f"{shown}{brings}"
            )
    return tuple(task for task in wanted if task in demanded), notes


class TaskTables:
    """The parsed tables of the chosen tasks and their distinct sequences, read at most once.

    Reads lazily: a run in which everything is finished parses no file. It is pickled as the choice
    alone, so another process reads the same files again and believes them only if they are still
    what was chosen.

    Args:
        chosen: The tasks.
    """

    def __init__(self, chosen: ChosenTasks) -> None:
        self.chosen = chosen
        self._read: ReadTasks | None = None

    def __reduce__(self) -> tuple[type[TaskTables], tuple[ChosenTasks]]:
        return TaskTables, (self.chosen,)

    def only(self, tasks: Collection[Task]) -> TaskTables:
        """Some of the tasks, to be read anew."""
        kept = {task: known for task, known in self.chosen.fingerprints.items() if task in tasks}
        return TaskTables(replace(self.chosen, fingerprints=kept, failures={}, notes=()))

    def read(self, observer: RunObserver | None = None) -> ReadTasks:
        """Parse every chosen task.

        Raises:
            DataError: if no task can be used; every complaint.
        """
        if self._read is None:
            self._read = _read_all(self.chosen, observer or RunObserver())
        return self._read

    @property
    def failures(self) -> dict[Task, str]:
        """Why chosen tasks cannot be used, as far as it is known: files missing, then refused."""
        return self.chosen.failures | (self._read.failures if self._read else {})

    @property
    def notes(self) -> dict[str, dict[str, int]]:
        """Task id -> counted acceptances of its files, of the tasks that were parsed."""
        tables = self._read.tables if self._read else {}
        return {task.task_id: dict(table.notes) for task, table in tables.items()}

    def untested_classes(self) -> tuple[str, ...]:
        """A sentence on the parsed tasks that have a class without a test row."""
        found = []
        for task, table in (self._read.tables if self._read else {}).items():
            classes = np.unique(table.train_labels)
            absent = np.setdiff1d(classes, table.test_labels)
            if len(absent):
                found.append(f"{task.task_id} ({len(absent)} of {len(classes)})")
        if not found:
            return ()
        shown = ", ".join(found[:3]) + (" ..." if found[3:] else "")
        return (
            f"classes without a test row: {shown}; AUROC and AUPRC are means over the classes that "
            "have one",
        )

    @property
    def test_rows(self) -> dict[str, int]:
        """Task id -> rows of its test set, of the tasks that were parsed."""
        tables = self._read.tables if self._read else {}
        return {task.task_id: len(table.test_labels) for task, table in tables.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ReadTasks:
    """Parsed tasks.

    Attributes:
        tables: The usable tables, in the suite's order.
        sequences: Their distinct sequences.
        failures: Tasks whose files were refused, and why.
    """

    tables: dict[Task, TaskTable]
    sequences: SequenceTable
    failures: dict[Task, str]

    def table(self, task: Task) -> TaskTable:
        """A task's table.

        Raises:
            DataError: if its files were refused, or are no longer those that were chosen.
        """
        if task not in self.tables:
            raise DataError(self.failures.get(task, f"the task {task.task_id} was not chosen"))
        return self.tables[task]

    def rows_of(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Positions of a task's train and test rows in ``sequences``, int64."""
        at = list(self.tables).index(task)
        return self.sequences.train_rows[at], self.sequences.test_rows[at]


def _read_all(chosen: ChosenTasks, observer: RunObserver) -> ReadTasks:
    tables: dict[Task, TaskTable] = {}
    failures: dict[Task, str] = {}
    first: DataError | None = None
    for position, (task, fingerprint) in enumerate(chosen.fingerprints.items(), 1):
        try:
            table = read_task(task, chosen.source)
            if table.fingerprint != fingerprint:
                raise DataError(
                    f"the files of the task {task.task_id} were changed while the run was "
                    "reading them",
                    where=chosen.source.folder,
                    hint="run the same command again once they are complete",
                )
            tables[task] = table
        except DataError as error:
            first = first or error
            failures[task] = error.message
        observer.reading(position, len(chosen.fingerprints))
    observer.finished()
    if first is not None and not tables:
        every = chosen.failures | failures
        if len(every) == 1:
            raise first
        raise nothing_usable(chosen.suite, chosen.source.folder, every) from first
    return ReadTasks(tables, distinct_sequences(list(tables.values())), failures)
