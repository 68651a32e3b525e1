"""A folder whose files are no task of the suite: what they are, and the commands that use them.

Only names and first lines are looked at. A file is never led to the name of a task that it is not.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.benchmark import SUITE_FILE, Suite
from geneb_jax.data.layouts.fasta import FASTA_ENDINGS
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.recognise import OF_A_GENOME, candidates
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending
from geneb_jax.data.layouts.table_rows import Candidate
from geneb_jax.data.layouts.tables import table_columns
from geneb_jax.errors import GenebError
from geneb_jax.plain_files import is_plain_file

__all__ = ["OwnFiles", "look_at"]

#: What `suite init` makes a suite of in its own folder; every other layout is imported to another.
_AT_HAND = ("table ", "FASTA and labels", "GENEB", "train and test")


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """What a folder holds beside a suite's tasks.

    Attributes:
        folder: The folder.
        tasks: How many tasks were recognised.
        layouts: Their layouts, each once.
        at_hand: Whether they are files of one's own rather than a published layout.
        said: What they are, in words; empty where nothing was recognised.
        unnamed: Whether there are tables whose columns have none of the usual names.
        lacks_genome: Whether stretches of a genome are there, and no genome.
        is_suite: Whether the folder is a suite already.
    """

    folder: Path
    tasks: int
    layouts: tuple[str, ...]
    at_hand: bool
    said: str
    unnamed: bool = False
    lacks_genome: bool = False
    is_suite: bool = False

    def commands(self, run: str, beside: Path) -> tuple[str, ...]:
        """The commands that make a suite of them and run it; none where nothing was recognised.

        Args:
            run: What follows ``geneb-jax run --suite FOLDER``, with a space in front, or nothing.
            beside: The folder in which another suite's folder would be made.
        """
        if self.is_suite:
            return (f"geneb-jax run --suite {quoted(self.folder)}{run}",)
        if self.unnamed and not self.tasks:
            columns = "--columns sequence=COLUMN,label=COLUMN,split=COLUMN"
            make = f"geneb-jax suite init {quoted(self.folder)} {columns}"
            return make, f"geneb-jax run --suite {quoted(self.folder)}{run}"
        if not self.tasks:
            return ()
        if self.at_hand:
            suite, make = self.folder, f"geneb-jax suite init {quoted(self.folder)}"
        else:
            suite = _free_folder(self.folder, beside)
            make = f"geneb-jax suite import {quoted(self.folder)} --to {quoted(suite)}"
            make += " --genome GENOME.fa" if self.lacks_genome else ""
        return make, f"geneb-jax run --suite {quoted(suite)}{run}"

    def hint(self, run: str = "", beside: Path = Path()) -> str:
        """The commands as a sentence; see :meth:`commands`."""
        commands = self.commands(run, beside)
        if not commands:
            return (
                "files of your own are a suite of their own, a folder with a suite.toml (--suite "
                "FOLDER): docs/your-own-tasks.md has the forms that are read"
            )
        return (
            "files of your own are a suite of their own, a folder with a suite.toml (--suite "
            "FOLDER): " + ", then ".join(f"`{command}`" for command in commands)
        )


def look_at(folder: Path, suite: Suite | None = None) -> OwnFiles:
    """Say what a folder's files are; never fails.

    Args:
        folder: The folder.
        suite: Leave out what is named after a task of this suite.
    """
    if is_plain_file(folder / SUITE_FILE):
        return OwnFiles(folder, 1, (), True, f"it holds a {SUITE_FILE}", is_suite=True)
    try:
        files = SourceFiles(folder)
        found, left = candidates(files, ImportOptions(), asked=False)
    except (GenebError, OSError):
        return OwnFiles(folder, 0, (), True, "")
    own = [candidate for candidate in found if not _is_of_the_suite(candidate, suite)]
    layouts = tuple(dict.fromkeys(candidate.importer for candidate in own))
    at_hand = all(layout.startswith(_AT_HAND) for layout in layouts)
    said = _said(files, own, layouts, at_hand=at_hand) if own else _not_tasks(files, left)
    unnamed = not own and any(_has_unknown_columns(files, path) for path in left[:1000])
    of_a_genome = bool(set(layouts) & set(OF_A_GENOME))
    return OwnFiles(
        folder, len(own), layouts, at_hand, said, unnamed, of_a_genome and not _has_fasta(files)
    )


def _has_fasta(files: SourceFiles) -> bool:
    return any(inner_ending(path) in FASTA_ENDINGS for path in files.paths)


def _is_of_the_suite(candidate: Candidate, suite: Suite | None) -> bool:
    """Whether files are named after a task of the suite, in a form that tasks are read in."""
    known = {task.task_id for task in suite.tasks} if suite is not None else set()
    named = bool(candidate.names) and candidate.names[-1] in known
    return named and all(inner_ending(path) == ".csv" for _, path in candidate.paths)


def _said(
    files: SourceFiles, own: Sequence[Candidate], layouts: Sequence[str], *, at_hand: bool
) -> str:
    paths = [path for candidate in own for _, path in candidate.paths]
    shown = ", ".join(files.relative(path) for path in paths[:3]) + (
        f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    )
    if at_hand:
        return f"it holds task files of another name: {shown}"
    tasks = f"{len(own)} {'tasks' if len(own) > 1 else 'task'}"
    return f"it holds {tasks} in the layout {' and '.join(layouts)}: {shown}"


def _not_tasks(files: SourceFiles, left: Sequence[Path]) -> str:
    """Files that look like tasks and lack something, by what is wrong with them."""
    wrong: dict[str, list[str]] = {}
    for path in left[:1000]:
        reason = _what_is_wrong(files, path)
        if reason is not None:
            wrong.setdefault(reason, []).append(files.relative(path))
    if wrong:
        return "; ".join(
            f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''} "
            f"{reason}"
            for reason, names in list(wrong.items())[:3]
        )
    if not files.paths:
        return "the folder is empty"
    endings = Counter(inner_ending(path) or "no ending" for path in files.paths)
    return "it holds files of " + ", ".join(f"{one} ({n})" for one, n in endings.most_common(4))


def _what_is_wrong(files: SourceFiles, path: Path) -> str | None:
    ending = inner_ending(path)
    if ending in (".csv", ".tsv", ".txt", ".tab"):
        head = files.head(path, 4096)
        if head.lstrip().startswith(b">"):
            return "looks like FASTA: name it .fa, with labels in its headers (>name|label)"
        if _has_unknown_columns(files, path):
            columns = ", ".join(table_columns(files, path)[:8])
            return f"has the columns {columns}, not all known as sequence, label and split"
    if ending in FASTA_ENDINGS:
        return "is FASTA without labels"
    return None


def _has_unknown_columns(files: SourceFiles, path: Path) -> bool:
    return inner_ending(path) in (".csv", ".tsv", ".tab") and len(table_columns(files, path)) > 1


def quoted(path: Path) -> str:
    """A path as a shell takes it; one that looks like an option gets ``./`` in front."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _free_folder(folder: Path, beside: Path) -> Path:
    """A new folder, named after a source."""
    stem = f"{folder.resolve().name or 'my'}-suite"
    place, candidate = 2, beside / stem
    while candidate.exists() or candidate.is_symlink():
        candidate, place = beside / f"{stem}-{place}", place + 1
    return candidate
