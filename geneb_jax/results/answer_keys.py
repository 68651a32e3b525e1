"""The right answers of a task's test rows, kept once a task beside the records of all models.

With them a run folder can be judged without the task files: the labels that predictions are scored
against, and the test rows whose sequence is a training row too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax import durable_files
from geneb_jax.plain_files import read_plain
from geneb_jax.results.array_files import LARGEST_BYTES, array_bytes, arrays_of
from geneb_jax.results.file_names import safe_folder_name

__all__ = ["AnswerKey", "answer_key_path", "find_answer_key", "keep_answer_key"]


@dataclass(frozen=True, slots=True, eq=False)
class AnswerKey:
    """What is true of a task's test rows.

    Attributes:
        labels: int64 ``[test row]``.
        in_training: Bool ``[test row]``: whether the same sequence is among the training rows.
    """

    labels: np.ndarray
    in_training: np.ndarray

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.labels.shape != self.in_training.shape:
            raise ValueError("labels and in_training are one value a test row")


def answer_key_path(out: Path, task_id: str, fingerprint: str) -> Path:
    """Where the answers of a task with this content are, or would be."""
    return out / "answers" / f"{safe_folder_name(task_id)}-{fingerprint[:16]}.npz"


def keep_answer_key(out: Path, task_id: str, fingerprint: str, answers: AnswerKey) -> Path:
    """Write the answers, unless the very bytes are there.

    Raises:
        OutputError: if the file cannot be written.
    """
    path = answer_key_path(out, task_id, fingerprint)
    content = array_bytes(
        {
            "labels": answers.labels.astype(np.int64),
            "in_training": answers.in_training.astype(bool),
        }
    )
    if not path.is_file() or path.read_bytes() != content:
        durable_files.write_bytes(path, content)
    return path


def find_answer_key(out: Path, task_id: str, fingerprint: str) -> AnswerKey | None:
    """The answers of a task with this content; None if they are absent or damaged."""
    path = answer_key_path(out, task_id, fingerprint)
    try:
        content = read_plain(path, largest_bytes=LARGEST_BYTES)
        arrays = arrays_of(content, {"labels": 1, "in_training": 1})
        return AnswerKey(arrays["labels"].astype(np.int64), arrays["in_training"].astype(bool))
    except (OSError, ValueError):
        return None
