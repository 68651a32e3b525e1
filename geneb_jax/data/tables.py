"""Read one task's files into labels and sequences; every complaint about them is made here.

A file that is wrong is refused by name and line. A file that is merely unusual is accepted, and
what was unusual is counted in :attr:`TaskTable.notes`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from types import MappingProxyType

import numpy as np

from geneb_jax.benchmark import Task, near_matches
from geneb_jax.data.csv_columns import CsvColumns, parse_columns, read_file_bytes
from geneb_jax.data.notes import content_notes
from geneb_jax.data.sources import TaskSource, fingerprint_of
from geneb_jax.errors import DataError

__all__ = ["SPLITS", "TaskTable", "read_task", "table_digest"]

#: The values of the column ``split``; dev rows are read and left unused, as the benchmark does.
SPLITS = ("train", "test", "dev")

_INTEGER = re.compile(r"\s*([+-]?[0-9]+)(\.0*)?\s*", re.ASCII)
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class TaskTable:
    """One task as it will be embedded and probed.

    Attributes:
        task: The task.
        train_sequences: Training texts, exactly as in the file, in its order.
        train_labels: int64 ``[len(train_sequences)]``, read-only.
        test_sequences: Test texts in the file's order.
        test_labels: int64 ``[len(test_sequences)]``, read-only.
        digest: SHA-256 (hexadecimal) of what was read: texts, labels and split, in order.
        fingerprint: SHA-256 (hexadecimal) over the bytes of the files that this was parsed from.
        notes: Counted acceptances (:mod:`geneb_jax.data.notes` says what each means).
    """

    task: Task
    train_sequences: tuple[str, ...]
    train_labels: np.ndarray
    test_sequences: tuple[str, ...]
    test_labels: np.ndarray
    digest: str
    fingerprint: str
    notes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(slots=True)
class _Part:
    """Rows of one split: texts, labels, and how many."""

    sequences: tuple[str, ...]
    labels: np.ndarray


def read_task(task: Task, source: TaskSource) -> TaskTable:
    """Read a task from a folder, in whichever layout its files have there.

    Args:
        task: The task.
        source: The folder.

    Raises:
        DataError: if the files cannot be used as they are; names the file and the line.
        ConfigError: if the task's id may not name files.
    """
    files = source.files(task.task_id)
    notes: Counter[str] = Counter()
    digests: dict[str, bytes] = {}
    if files.flat is not None:
        content, digests["flat"] = read_file_bytes(files.flat)
        columns = parse_columns(content, files.flat, required=("text", "label", "split"))
        parts = _split_rows(columns, files.flat)
        train, test, dev_rows = parts["train"], parts["test"], len(parts["dev"].sequences)
        notes += columns.notes
        places = {"train": files.flat, "test": files.flat}
    else:
        assert files.train is not None and files.test is not None
        train, digests["train"] = _read_part(files.train, "train", notes)
        test, digests["test"] = _read_part(files.test, "test", notes)
        dev_rows = 0
        places = {"train": files.train, "test": files.test}
    _require_rows(train, test, places)
    for note, count in content_notes(
        train.sequences, train.labels, test.sequences, test.labels
    ).items():
        notes[note] = count
    notes["dev_rows"] = dev_rows
    return TaskTable(
        task=task,
        train_sequences=train.sequences,
        train_labels=train.labels,
        test_sequences=test.sequences,
        test_labels=test.labels,
        digest=table_digest(train.sequences, train.labels, test.sequences, test.labels),
        fingerprint=fingerprint_of(digests),
        notes=MappingProxyType({note: count for note, count in sorted(notes.items()) if count}),
    )


def table_digest(
    train_sequences: Sequence[str],
    train_labels: np.ndarray,
    test_sequences: Sequence[str],
    test_labels: np.ndarray,
) -> str:
    """SHA-256 (hexadecimal) of a task's content: texts, labels and split, in order.

    Lengths go in before texts, so that no two different tables are the same stream of bytes.
    """
    total = hashlib.sha256(b"geneb-jax task table 1\n")
    for sequences, labels in ((train_sequences, train_labels), (test_sequences, test_labels)):
        lengths = np.fromiter(map(len, sequences), dtype="<i8", count=len(sequences))
        total.update(np.array([len(sequences)], dtype="<i8").tobytes())
        total.update(lengths.tobytes())
        total.update("".join(sequences).encode("utf-8"))
        total.update(labels.astype("<i8", copy=False).tobytes())
    return total.hexdigest()


def _read_part(path: Path, split: str, notes: Counter[str]) -> tuple[_Part, bytes]:
    """One file of the hub layout and its digest; a split column must agree with the file's name."""
    content, digest = read_file_bytes(path)
    columns = parse_columns(content, path, required=("text", "label"), optional=("split",))
    labels = _labels(columns, path)
    notes += columns.notes
    for row, value in enumerate(columns.columns.get("split", ())):
        if value.strip() != split:
            raise DataError(
                f"the split is {value[:40]!r} in the file of the {split} rows",
                where=f"{path}:{columns.line(row)}",
            )
    return _Part(tuple(columns.columns["text"]), _frozen(labels)), digest


def _split_rows(columns: CsvColumns, path: Path) -> dict[str, _Part]:
    labels = _labels(columns, path)
    values = columns.columns["split"]
    codes: dict[str, int] = {}
    for value in set(values):
        name = value.strip()
        if name not in SPLITS:
            raise _unknown_split(columns, path)
        codes[value] = SPLITS.index(name)
        if name != value:
            columns.notes["split_values_with_spaces"] += 1
    if columns.notes["split_values_with_spaces"]:
        columns.notes["split_values_with_spaces"] = sum(value != value.strip() for value in values)
    code = np.fromiter(map(codes.__getitem__, values), dtype=np.int8, count=len(values))
    texts = columns.columns["text"]
    parts = {}
    for number, name in enumerate(SPLITS):
        chosen = code == number
        parts[name] = _Part(tuple(compress(texts, chosen.tolist())), _frozen(labels[chosen]))
    return parts


def _unknown_split(columns: CsvColumns, path: Path) -> DataError:
    values = columns.columns["split"]
    row = next(i for i, value in enumerate(values) if value.strip() not in SPLITS)
    close = near_matches(values[row].strip(), SPLITS, limit=1)
    return DataError(
        f"the split is {values[row][:40]!r}",
        where=f"{path}:{columns.line(row)}",
        hint=(f"did you mean {close[0]}? " if close else "")
        + f"the splits are {', '.join(SPLITS)}, in lower case",
    )


def _labels(columns: CsvColumns, path: Path) -> np.ndarray:
    """Labels as int64; each distinct spelling is read once."""
    texts = columns.columns["label"]
    numbers: dict[str, int] = {}
    floats: set[str] = set()
    for text in set(texts):
        number = _integer(text)
        if number is None:
            raise _bad_label(columns, path)
        numbers[text] = number
        if "." in text:
            floats.add(text)
    if floats:
        columns.notes["float_integer_labels"] = sum(map(floats.__contains__, texts))
    return np.fromiter(map(numbers.__getitem__, texts), dtype=np.int64, count=len(texts))


def _integer(text: str) -> int | None:
    """The int64 that a label spells ("3", "-1", "2.0"), or None."""
    match = _INTEGER.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        return None
    number = int(match[1])
    return number if _INT64.min <= number <= _INT64.max else None


def _bad_label(columns: CsvColumns, path: Path) -> DataError:
    texts = columns.columns["label"]
    row = next(row for row, text in enumerate(texts) if _integer(text) is None)
    text = texts[row]
    return DataError(
        f"the label {text[:40]!r} is not an integer",
        where=f"{path}:{columns.line(row)}",
        cause="the field is empty" if not text.strip() else None,
        hint="classes are numbered 0, 1, 2, ...",
    )


def _frozen(labels: np.ndarray) -> np.ndarray:
    labels.setflags(write=False)
    return labels


def _require_rows(train: _Part, test: _Part, places: dict[str, Path]) -> None:
    for split, part in (("train", train), ("test", test)):
        if not part.sequences:
            raise DataError(
                f"the task has no {split} rows",
                where=places[split],
                hint="the column split says which rows are train and which test; `geneb-jax suite "
                "import --test-share 0.2` sets a fifth aside where nothing does",
            )
    if int(train.labels.min()) == int(train.labels.max()):
        raise DataError(
            f"all {len(train.labels)} train rows have the label {int(train.labels[0])}",
            where=places["train"],
            cause="a probe needs two classes",
        )
