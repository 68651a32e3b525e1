"""Sequences as files write them: blanks go, empty ones are refused, odd letters are told."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from geneb_jax.data.layouts.found_tasks import FoundTask, Part
from geneb_jax.errors import DataError

__all__ = ["BLANKS", "with_plain_sequences"]

#: Note of a task: rows whose cell had blanks around the sequence.
BLANKS = "sequences had blanks around them, which were taken off"
_ODD = (
    "sequences have letters that are no nucleotide codes (A, C, G, T, U, N and IUPAC's others); "
    "they are kept as they are"
)
_OTHER = re.compile("[^ACGTUNRYSWKMBDHVacgtunryswkmbdhv]")


def with_plain_sequences(task: FoundTask) -> FoundTask:
    """The task without blanks around its sequences, and with notes on what its rows hold.

    Raises:
        DataError: naming file and row, if a sequence is empty.
    """
    notes = Counter(task.notes)
    parts = []
    for part in task.parts:
        notes.update(part.notes)
        parts.append(_plain(part, notes))
    return replace(task, parts=tuple(parts), notes={name: n for name, n in notes.items() if n})


def _plain(part: Part, notes: Counter[str]) -> Part:
    texts = []
    for row, cell in enumerate(part.sequences):
        text = cell.strip()
        if not text:
            raise DataError(
                "the sequence is empty",
                where=part.where(row),
                hint="fill it in or take the row out",
            )
        notes[BLANKS] += text != cell
        notes[_ODD] += _OTHER.search(text) is not None
        texts.append(text)
    return replace(part, sequences=texts)
