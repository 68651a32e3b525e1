"""``--overlong refuse``: every sequence is looked at before anything is embedded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from geneb_jax.data import SequenceList, TaskSource, first_row_with, read_sequences
from geneb_jax.embed import context_said, row_counts
from geneb_jax.errors import DataError
from geneb_jax.models import Encoder
from geneb_jax.runs.kept_counts import known_counts
from geneb_jax.runs.task_choice import ReadTasks

__all__ = ["require_listed_within_context", "require_tasks_within_context"]

_HINT = "--overlong windows reads such sequences whole, --overlong truncate cuts them off"
_AT_A_TIME = 256


def require_tasks_within_context(encoder: Encoder, read: ReadTasks, source: TaskSource) -> None:
    """Refuse tasks with a sequence that the context does not hold, where that was asked for.

    Raises:
        DataError: naming file and row of the first one, its length and the context.
    """
    if encoder.overlong.kind != "refuse":
        return
    counts = known_counts(encoder.identity, encoder, read.sequences)
    if counts is None or not counts.cut_bp.any():
        return
    too_long = counts.cut_bp > 0
    rows_too_long, first = 0, None
    for task in read.tables:
        rows = np.concatenate(read.rows_of(task))
        bad = rows[too_long[rows]]
        rows_too_long += len(bad)
        if first is None and len(bad):
            first = task, int(bad[0])
    assert first is not None
    task, at = first
    text = read.sequences.sequences[at]
    place = first_row_with(text, task, source)
    others = f"; so have {rows_too_long - 1:,} other rows" if rows_too_long > 1 else ""
    raise DataError(
        f"the sequence has {len(text):,} letters, {int(counts.cut_bp[at]):,} more than "
        f"{encoder.identity.model_id} reads ({context_said(encoder)}){others}",
        where=f"task {task.task_id}" if place is None else f"{place[0]}:{place[1]}",
        hint=_HINT,
    )


def require_listed_within_context(
    encoder: Encoder, listed: SequenceList, columns: Mapping[str, str]
) -> None:
    """The same for files of sequences.

    Raises:
        DataError: naming file and sequence.
    """
    if encoder.overlong.kind != "refuse":
        return
    for path in listed.digests:
        names: list[str] = []
        texts: list[str] = []
        for number, one in enumerate(read_sequences(path, columns), 1):
            names.append(one.name)
            texts.append(one.text)
            if len(texts) < _AT_A_TIME and number < listed.counts[path]:
                continue
            counts = row_counts(encoder, texts)
            if counts is not None and counts.cut_bp.any():
                at = int(np.flatnonzero(counts.cut_bp)[0])
                raise DataError(
                    f"the sequence {names[at]} (number {number - len(texts) + at + 1} of the file) "
                    f"has {len(texts[at]):,} letters, {int(counts.cut_bp[at]):,} more than "
                    f"{encoder.identity.model_id} reads ({context_said(encoder)})",
                    where=path,
                    hint=_HINT,
                )
            names, texts = [], []
