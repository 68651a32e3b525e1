"""The parsed tables of a run and their distinct sequences, read at most once."""

from __future__ import annotations

from geneb_jax.benchmark import Task
from geneb_jax.data import SequenceTable, TaskTable, distinct_sequences
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.task_choice import ChosenTasks, read_tables

__all__ = ["TaskData"]


class TaskData:
    """Reads lazily: a run in which everything is finished parses no file.

    Attributes:
        chosen: The tasks of the run.
        tables: The usable tables, in the suite's order; empty before :meth:`read`.
        failures: Tasks whose files were refused, and why; empty before :meth:`read`.
    """

    def __init__(self, chosen: ChosenTasks, observer: RunObserver) -> None:
        self.chosen = chosen
        self.tables: dict[Task, TaskTable] = {}
        self.failures: dict[Task, str] = {}
        self._observer = observer
        self._sequences: SequenceTable | None = None

    def read(self) -> SequenceTable:
        """Parse every chosen task, finished or not: groups of problems depend on the whole list.

        Raises:
            DataError: if no task can be used.
        """
        if self._sequences is None:
            self.tables, self.failures = read_tables(
                self.chosen, list(self.chosen.fingerprints), self._observer
            )
            self._sequences = distinct_sequences(list(self.tables.values()))
        return self._sequences
