"""Find the files of a task in a folder, in any of the layouts GENEB's data come in.

The layouts, for a task id ``T``:

1. flat: ``T.csv`` or ``T.csv.gz``, columns text, label, split;
2. hub: ``T/train.csv`` and ``T/test.csv`` (or ``.csv.gz``), columns text, label.

Both may lie in the folder itself or in its subfolder ``tasks``.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.benchmark import Suite, Task, require_task_id
from geneb_jax.data.links import refuse_stray_link, snapshot_of
from geneb_jax.errors import DataError
from geneb_jax.plain_files import NotTheFileError, is_folder, open_plain

__all__ = [
    "FoundTasks",
    "TaskFiles",
    "TaskSource",
    "find_task_files",
    "fingerprint_of",
    "task_fingerprint",
]

_ENDINGS = (".csv", ".csv.gz")
_OTHER_ENDINGS = (
    ".tsv",
    ".tsv.gz",
    ".fa",
    ".fasta",
    ".fna",
    ".fa.gz",
    ".parquet",
    ".jsonl",
    ".json",
)
_PLACES = ("", "tasks")


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """The files of one task: one ``flat`` file, or a ``train`` and a ``test`` file."""

    flat: Path | None = None
    train: Path | None = None
    test: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that exist, train before test."""
        return tuple(path for path in (self.flat, self.train, self.test) if path is not None)

    def role(self, path: Path) -> str:
        """What one of the files is: ``flat``, ``train`` or ``test``."""
        return "flat" if path is self.flat else "train" if path is self.train else "test"


@dataclass(frozen=True, slots=True)
class TaskSource:
    """A folder of task files."""

    folder: Path

    def files(self, task_id: str) -> TaskFiles:
        """The files of one task.

        Raises:
            ConfigError: if the id may not name files.
            DataError: if there is no file, half of a pair, more than one layout at once, or a link
                that leads out of a hub snapshot.
        """
        require_task_id(task_id)
        require_folder(self.folder)
        candidates = list(self.candidates(task_id))
        if len(candidates) > 1:
            names = ", ".join(str(files.paths[0]) for files in candidates)
            raise DataError(
                f"the task {task_id} has more than one set of files: {names}",
                where=self.folder,
                hint="keep the one you mean and move the others away",
            )
        if not candidates:
            raise DataError(
                f"there is no file of the task {task_id}",
                where=self.folder,
                cause=f"looked for {task_id}.csv, {task_id}.csv.gz and {task_id}/train.csv, here "
                "and in tasks/",
                hint=self._other_ending(task_id) or "`geneb-jax data fetch` brings GENEB's files",
            )
        files = candidates[0]
        if files.flat is None and (files.train is None or files.test is None):
            missing = "test" if files.test is None else "train"
            raise DataError(f"the task {task_id} has no {missing}.csv", where=files.paths[0].parent)
        for path in files.paths:
            self._require_file(path)
        return files

    def _other_ending(self, task_id: str) -> str | None:
        """What to do where the task's file is there in another form."""
        for place in _PLACES:
            for ending in _OTHER_ENDINGS:
                path = self.folder / place / f"{task_id}{ending}"
                if path.is_file():
                    return (
                        f"{path.name} is there, in a form that `geneb-jax suite init "
                        f"{shlex.quote(str(self.folder))}` reads, as a task of a suite of your own"
                    )
        return None

    def candidates(self, task_id: str) -> Iterator[TaskFiles]:
        """Every set of files that could be the task's, in any layout, unchecked."""
        for place in _PLACES:
            base = self.folder / place if place else self.folder
            for ending in _ENDINGS:
                flat = base / f"{task_id}{ending}"
                if flat.is_file() or flat.is_symlink():
                    yield TaskFiles(flat=flat)
            for ending in _ENDINGS:
                train, test = (base / task_id / f"{part}{ending}" for part in ("train", "test"))
                there = [path.is_file() or path.is_symlink() for path in (train, test)]
                if any(there):
                    yield TaskFiles(
                        train=train if there[0] else None, test=test if there[1] else None
                    )

    def _require_file(self, path: Path) -> None:
        if not path.resolve().is_file():
            raise DataError("the file is a broken link or not a plain file", where=path)
        refuse_stray_link(snapshot_of(self.folder), path)


def require_folder(folder: Path) -> None:
    """Refuse what is no folder of task files.

    Raises:
        DataError: saying what it is, and which folder to give.
    """
    if is_folder(folder):
        return
    if os.path.lexists(folder):
        raise DataError(
            "this is a file, and the folder of task files is wanted",
            where=folder,
            hint=f"give its folder: --data-dir {shlex.quote(str(folder.parent))}",
        )
    raise DataError(
        "there is no such folder of task files",
        where=folder,
        hint="give the folder that holds them, or bring the benchmark's: `geneb-jax data fetch`",
    )


@dataclass(frozen=True, slots=True)
class FoundTasks:
    """What a folder holds of a suite.

    Attributes:
        tasks: Tasks with files, in the suite's order.
        missing: Tasks without files, in the suite's order.
        other_ids: Names of CSV files and folders that are no task of the suite, sorted.
    """

    tasks: tuple[Task, ...]
    missing: tuple[Task, ...]
    other_ids: tuple[str, ...]


def find_task_files(suite: Suite, folder: Path) -> FoundTasks:
    """List which tasks of a suite have files in a folder, and which CSV files are not of the suite.

    Only names are looked at; nothing is opened.

    Raises:
        DataError: if the folder does not exist.
    """
    require_folder(folder)
    present = set(_present_ids(folder))
    known = {task.task_id for task in suite.tasks}
    return FoundTasks(
        tasks=tuple(task for task in suite.tasks if task.task_id in present),
        missing=tuple(task for task in suite.tasks if task.task_id not in present),
        other_ids=tuple(sorted(present - known)),
    )


def _present_ids(folder: Path) -> Iterator[str]:
    for place in _PLACES:
        base = folder / place if place else folder
        if not base.is_dir():
            continue
        for entry in base.iterdir():
            if entry.name.startswith("."):
                continue
            for ending in _ENDINGS:
                if entry.name.endswith(ending):
                    yield entry.name.removesuffix(ending)
                elif (entry / f"train{ending}").exists() or (entry / f"test{ending}").exists():
                    yield entry.name


def task_fingerprint(task: Task, source: TaskSource) -> str:
    """SHA-256 over the bytes of a task's files, without parsing them.

    Two equal fingerprints mean equal files; files that differ only in compression or line ends have
    different fingerprints and the same :attr:`TaskTable.digest`. A table that is read carries the
    fingerprint of the bytes it was parsed from (:attr:`TaskTable.fingerprint`).

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: if a file is missing or cannot be read.
    """
    files = source.files(task.task_id)
    parts = {}
    for path in files.paths:
        try:
            with os.fdopen(open_plain(path), "rb") as file:
                parts[files.role(path)] = hashlib.file_digest(file, "sha256").digest()
        except NotTheFileError as error:
            raise DataError(str(error), where=path) from error
        except OSError as error:
            raise DataError(f"cannot read the file ({error.strerror})", where=path) from error
    return fingerprint_of(parts)


def fingerprint_of(parts: Mapping[str, bytes]) -> str:
    """The fingerprint of a task from its files' SHA-256, by role: ``flat``, or train and test."""
    total = hashlib.sha256()
    for role, digest in parts.items():
        total.update(role.encode("ascii") + b"\n" + digest)
    return total.hexdigest()
