"""A suite that was made, and what is said of it: in its suite.toml and to the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.data.layouts.found_tasks import LeftOut
from geneb_jax.data.layouts.suite_folder import WrittenTask

__all__ = ["ImportedSuite", "suite_notes", "summary"]

_SHOWN_TASKS, _SHOWN_CLASSES = 5, 8


@dataclass(frozen=True, slots=True, eq=False)
class ImportedSuite:
    """A suite that was made.

    Attributes:
        folder: Where it is.
        name: Its name.
        tasks: Its tasks.
        left_out: Tasks of kinds that no probe here scores.
        unread: Files that no layout has.
        converted: Whether copies of task files were written.
    """

    folder: Path
    name: str
    tasks: tuple[WrittenTask, ...]
    left_out: tuple[LeftOut, ...]
    unread: tuple[str, ...]
    converted: bool

    @property
    def importers(self) -> tuple[str, ...]:
        """The layouts, each once."""
        return tuple(dict.fromkeys(task.found.importer for task in self.tasks))

    @property
    def rows(self) -> Counter[str]:
        """Rows of all tasks, by part."""
        total: Counter[str] = Counter()
        for task in self.tasks:
            total.update(task.counts)
        return total


def suite_notes(source: str, suite: ImportedSuite) -> list[str]:
    """Sentences for suite.toml: where the data came from, and what was left out."""
    rows = suite.rows
    notes = [
        f"Imported from {source}: {', '.join(suite.importers)}; {rows['train']:,} train, "
        f"{rows['test']:,} test and {rows['dev']:,} unused dev rows."
    ]
    notes += [
        f"Left out: {'/'.join(one.names) or source}, {one.sentence}." for one in suite.left_out
    ]
    return notes


def summary(suite: ImportedSuite) -> Sequence[str]:
    """Sentences for the user: what was read, what was decided, what was left out."""
    rows = suite.rows
    lines = [
        f"{suite.folder}: suite {suite.name}, {len(suite.tasks)} "
        f"{'tasks' if len(suite.tasks) > 1 else 'task'} ({', '.join(suite.importers)}), "
        f"{rows['train']:,} train and {rows['test']:,} test rows"
    ]
    if rows["dev"]:
        lines.append(
            f"{rows['dev']:,} dev rows are kept and not used (--dev train makes them train rows)"
        )
    noted: Counter[str] = Counter()
    for task in suite.tasks:
        noted.update(task.found.notes)
    lines += [f"{count:,} {what}" for what, count in noted.items()]
    lines += _class_lines([task for task in suite.tasks if task.entry.classes])
    lines += [f"left out: {'/'.join(one.names)}: {one.sentence}" for one in suite.left_out]
    if suite.unread:
        shown = ", ".join(suite.unread[:3]) + (" ..." if len(suite.unread) > 3 else "")
        many = len(suite.unread)
        what = "file or folder is" if many == 1 else "files or folders are"
        lines.append(f"{many} {what} no task and not read: {shown}")
    return lines


def _class_lines(named: Sequence[WrittenTask]) -> list[str]:
    lines = []
    for task in named[:_SHOWN_TASKS]:
        names = [f"{code} {name}" for code, name in enumerate(task.entry.classes)]
        shown = ", ".join(names[:_SHOWN_CLASSES]) + (", ..." if len(names) > _SHOWN_CLASSES else "")
        lines.append(f"classes of {task.entry.task_id}: {shown}")
    if len(named) > _SHOWN_TASKS:
        lines.append(f"and the classes of {len(named) - _SHOWN_TASKS} more tasks, in suite.toml")
    return lines
