"""What a task's test rows share with training rows: its own, and those of other tasks.

Four kinds, each row in the first that holds: the very text; the same letters in another case or
with U for T; the reverse complement; nearly one of these (:mod:`geneb_jax.data.near_repeats`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from geneb_jax.data.near_repeats import near_repeats, plain_letters, reverse_complement
from geneb_jax.data.tables import TaskTable

__all__ = ["LeakKind", "TaskLeaks", "find_leaks", "leaks_across"]


class LeakKind(IntEnum):
    """What a test row is to the training rows, from nothing to the very text."""

    NONE = 0
    NEAR = 1
    REVERSE_COMPLEMENT = 2
    EXACT = 3


@dataclass(frozen=True, slots=True, eq=False)
class TaskLeaks:
    """The test rows of a task that training rows resemble.

    Attributes:
        task_id: The task.
        kinds: uint8 ``[test row]``, values of :class:`LeakKind`.
        identity: float64 ``[test row]``: 1 for exact ones and reverse complements, that of the part
            both cover for near ones, NaN for the others.
        across: Other task -> how many of the test rows are training rows there, as they are or as
            the reverse complement; only tasks with any.
        in_other_tasks: Test rows that are training rows of any other task.
    """

    task_id: str
    kinds: np.ndarray
    identity: np.ndarray
    across: Mapping[str, int]
    in_other_tasks: int

    def count(self, kind: LeakKind) -> int:
        """Rows of one kind."""
        return int(np.count_nonzero(self.kinds == kind))

    @property
    def leaked(self) -> int:
        """Rows of any kind."""
        return int(np.count_nonzero(self.kinds))

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain data for JSON."""
        near = self.kinds == LeakKind.NEAR
        return {
            "task_id": self.task_id,
            "test_rows": len(self.kinds),
            "exact": self.count(LeakKind.EXACT),
            "reverse_complement": self.count(LeakKind.REVERSE_COMPLEMENT),
            "near": self.count(LeakKind.NEAR),
            "near_identity_95": int(np.count_nonzero(self.identity[near] >= 0.95)),
            "any": self.leaked,
            "in_other_tasks": self.in_other_tasks,
            "other_tasks": dict(self.across),
        }


def find_leaks(train: Sequence[str], test: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What each test sequence is to the training sequences.

    Returns:
        uint8 ``[test row]`` of :class:`LeakKind`, and float64 ``[test row]``, the identity.
    """
    texts = tuple(dict.fromkeys(test))
    kinds = np.zeros(len(texts), np.uint8)
    identity = np.full(len(texts), np.nan)
    exact = set(train)
    plain = set(plain_letters(list(exact)))
    rest = []
    for row, (text, letters) in enumerate(zip(texts, plain_letters(texts), strict=True)):
        if text in exact:
            kinds[row] = LeakKind.EXACT
        elif text and reverse_complement(letters) in plain:
            kinds[row] = LeakKind.REVERSE_COMPLEMENT
        elif text and letters in plain:
            kinds[row], identity[row] = LeakKind.NEAR, 1.0
        else:
            rest.append(row)
    identity[kinds >= LeakKind.REVERSE_COMPLEMENT] = 1.0
    found = near_repeats(sorted(plain), [texts[row] for row in rest])
    rows = np.array(rest, np.int64)[found.found]
    kinds[rows], identity[rows] = LeakKind.NEAR, found.identity[found.found]
    place = {text: row for row, text in enumerate(texts)}
    back = np.fromiter((place[text] for text in test), np.int64, count=len(test))
    return kinds[back], identity[back]


def leaks_across(
    tables: Sequence[TaskTable],
    *,
    search: Callable[[TaskTable], tuple[np.ndarray, np.ndarray]] | None = None,
    on_task: Callable[[int, int], None] | None = None,
) -> tuple[TaskLeaks, ...]:
    """The leaks of every task, and its test rows that are training rows of another.

    Across tasks only repeats of the whole sequence count, on either strand, case and U ignored.
    A probe is fitted on its own task's rows, so these leak no label into a score; they say that two
    tasks of a mean are not two independent ones.

    Args:
        tables: The tasks.
        search: What looks through a task; :func:`find_leaks` by default, which keeps nothing.
        on_task: Called with (done, total) after each.
    """
    homes: dict[str, list[int]] = {}
    for at, table in enumerate(tables):
        for text in {_either_strand(text) for text in table.train_sequences if text}:
            homes.setdefault(text, []).append(at)
    found = []
    for at, table in enumerate(tables):
        kinds, identity = (search or _searched)(table)
        counts, elsewhere = np.zeros(len(tables), np.int64), 0
        for text in table.test_sequences:
            if text:
                places = [other for other in homes.get(_either_strand(text), []) if other != at]
                counts[places] += 1
                elsewhere += bool(places)
        across = {
            tables[other].task.task_id: int(counts[other])
            for other in np.flatnonzero(counts).tolist()
        }
        found.append(TaskLeaks(table.task.task_id, kinds, identity, across, elsewhere))
        if on_task is not None:
            on_task(at + 1, len(tables))
    return tuple(found)


def _searched(table: TaskTable) -> tuple[np.ndarray, np.ndarray]:
    return find_leaks(table.train_sequences, table.test_sequences)


def _either_strand(text: str) -> str:
    """The same text for a sequence and its reverse complement."""
    letters = plain_letters([text])[0]
    return min(letters, reverse_complement(letters))
