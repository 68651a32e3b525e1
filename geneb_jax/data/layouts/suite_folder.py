"""Write what a layout held as a suite: ``suite.toml``, a CSV file a task, and where all came from.

A folder appears whole or not at all: everything is written to a folder beside it, which then takes
its name.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.benchmark import SUITE_FILE
from geneb_jax.data.layouts.fasta import reversed_strand
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut
from geneb_jax.data.layouts.labels import classes_of
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.source_files import IMPORT_FILE, IMPORT_KIND
from geneb_jax.data.layouts.suite_names import task_ids
from geneb_jax.data.layouts.suite_toml import TaskEntry, suite_toml
from geneb_jax.errors import DataError, OutputError
from geneb_jax.sealed_files import write_sealed

__all__ = ["WrittenTask", "new_folder", "prepare", "task_csv", "write_suite"]


@dataclass(frozen=True, slots=True, eq=False)
class WrittenTask:
    """A task ready to be written.

    Attributes:
        entry: What suite.toml says of it.
        found: Its rows.
        codes: Label as written -> class.
        splits: One a row, in order.
        counts: Rows of ``train``, ``test`` and ``dev``.
    """

    entry: TaskEntry
    found: FoundTask
    codes: Mapping[str, int]
    splits: Sequence[str]
    counts: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The task's part of the record."""
        return {
            "id": self.entry.task_id,
            "importer": self.found.importer,
            "rows": {split: self.counts.get(split, 0) for split in ("train", "test", "dev")},
            "classes": list(self.entry.classes),
            "notes": dict(self.found.notes),
        }


def prepare(
    tasks: Sequence[FoundTask], title: str, options: ImportOptions, fallback: str
) -> list[WrittenTask]:
    """Name tasks and classes and settle every row's split.

    Args:
        tasks: The tasks.
        title: Category of tasks that have no folder above them.
        options: What the user says.
        fallback: Name of a task that has none: the source's own.

    Raises:
        DataError: if a task lacks train or test rows, a label, or a second class.
    """
    ids = task_ids([task.names for task in tasks], fallback)
    written = []
    for task, task_id in zip(tasks, ids, strict=True):
        classes = classes_of(task)
        splits = [_split(task, part, row, options) for part, row in task.rows()]
        counts = Counter(splits)
        train_labels = {
            classes.codes[part.labels[row].strip()]
            for (part, row), split in zip(task.rows(), splits, strict=True)
            if split == "train"
        }
        _require_usable(task, counts, len(train_labels))
        task.notes.update(_alike_classes(task_id, classes.names))
        category = task.names[0] if len(task.names) > 1 else title
        entry = TaskEntry(task_id, " ".join(task.names) or fallback, category, classes.names)
        written.append(WrittenTask(entry, task, classes.codes, splits, counts))
    return written


def _alike_classes(task_id: str, names: Sequence[str]) -> dict[str, int]:
    """A note on classes that are perhaps one, spelled in two ways."""
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(name.casefold(), []).append(name)
    alike = [name for those in spellings.values() if len(those) > 1 for name in those]
    if not alike:
        return {}
    shown = ", ".join(alike[:6]) + (", ..." if len(alike) > 6 else "")
    return {f"classes of {task_id} differ only in the case of their letters: {shown}": len(alike)}


def _split(task: FoundTask, part: Any, row: int, options: ImportOptions) -> str:
    split: str = part.split(row)
    if split == "unknown" and options.test_share is not None:
        return "test" if _share_of(part.sequences[row]) < options.test_share else "train"
    return "train" if split == "dev" and options.dev == "train" else split


def _share_of(sequence: str) -> float:
    """A number from 0 to 1 that a sequence, its repeats, its RNA and its other strand share."""
    letters = "".join(sequence.split()).upper().replace("U", "T")
    digest = hashlib.blake2b(
        min(letters, reversed_strand(letters)).encode("utf-8"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2**64


def _require_usable(task: FoundTask, counts: Mapping[str, int], classes: int) -> None:
    for split in ("train", "test"):
        if not counts.get(split):
            dev = counts.get("dev", 0)
            raise DataError(
                f"the task has no {split} rows",
                where=task.where,
                cause=f"it has {dev} dev rows, which never stand in for test rows"
                if dev and split == "test"
                else None,
                hint="--splits says what the values of the split column mean"
                + ("; --dev train makes dev rows train rows" if split == "train" and dev else ""),
            )
    if classes < 2:
        raise DataError(
            "all train rows have one label", where=task.where, cause="a probe needs two classes"
        )


def task_csv(task: WrittenTask) -> bytes:
    """The task as the flat file that is read: columns text, label, split."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "label", "split"])
    rows = zip(task.found.rows(), task.splits, strict=True)
    writer.writerows(
        (part.sequences[row], task.codes[part.labels[row].strip()], split)
        for (part, row), split in rows
    )
    return text.getvalue().encode("utf-8")


def write_suite(
    folder: Path,
    tasks: Sequence[WrittenTask],
    *,
    name: str,
    title: str,
    notes: Sequence[str],
    left_out: Sequence[LeftOut],
    record: Mapping[str, Any],
) -> None:
    """Fill a folder with a suite.

    Raises:
        OutputError: if it cannot be written.
    """
    for task in tasks:
        durable_files.write_bytes(folder / f"{task.entry.task_id}.csv", task_csv(task))
    entries = [task.entry for task in tasks]
    durable_files.write_text(folder / SUITE_FILE, suite_toml(name, title, entries, notes))
    write_sealed(folder / IMPORT_FILE, IMPORT_KIND, import_record(tasks, left_out, record))


def import_record(
    tasks: Sequence[WrittenTask], left_out: Sequence[LeftOut], record: Mapping[str, Any]
) -> dict[str, Any]:
    """What is recorded of an import: the source, its files and digests, tasks and counts."""
    return {
        **record,
        "tasks": [task.as_dict() for task in tasks],
        "left_out": [
            {"names": list(one.names), "kind": one.kind, "why": one.why} for one in left_out
        ],
    }


def new_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that appears whole, or not at all.

    Args:
        target: The folder; it may be there if it is empty.
        fill: Called with the folder to fill.

    Raises:
        OutputError: if something is there already, or it cannot be written.
    """
    _require_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name[:64]}.", dir=target.parent))
    except OSError as error:
        raise OutputError(
            f"the folder cannot be made ({error.strerror})", where=target, hint="choose another"
        ) from error
    try:
        fill(staging)
        staging.chmod(0o755)
        if target.is_dir():
            target.rmdir()
        staging.replace(target)
        durable_files.flush_folder(target.parent)
    except OSError as error:
        raise OutputError(
            f"the folder cannot be put in its place ({error.strerror})",
            where=target,
            cause="something else appeared there meanwhile" if os.path.lexists(target) else None,
            hint="choose another",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _require_free(target: Path) -> None:
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise OutputError(
            "there is something else of this name", where=target, hint="choose another"
        )
    try:
        filled = any(target.iterdir())
    except OSError as error:
        raise OutputError(f"cannot list the folder ({error.strerror})", where=target) from error
    if filled:
        raise OutputError(
            "the folder is not empty",
            where=target,
            hint="choose another with --to; nothing is ever written over",
        )
