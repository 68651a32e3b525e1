"""What a published layout holds, in one form: tasks of labelled texts, each row with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geneb_jax.errors import DataError

__all__ = ["SPLIT_NAMES", "FoundTask", "LeftOut", "Part", "split_of"]

#: How the field calls the three parts of a task.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "dev": "dev",
    "valid": "dev",
    "val": "dev",
    "validation": "dev",
    "eval": "dev",
    "evaluation": "dev",
}


def split_of(name: str) -> str | None:
    """``train``, ``test`` or ``dev`` for a usual name of one of them; None for any other."""
    return SPLIT_NAMES.get(name.strip().casefold())


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows of one file.

    Attributes:
        path: The file, or the folder of one class.
        sequences: The texts.
        labels: What the file gives as their labels, as text.
        splits: ``train``, ``test`` or ``dev``: of all rows, or one a row.
        lines: Line on which each row starts, counted from 1; None where rows are files.
        class_names: Names that the file itself gives to the labels 0, 1, 2, ...
        notes: What was decided about rows, and how many they are.
    """

    path: Path
    sequences: Sequence[str]
    labels: Sequence[str]
    splits: str | Sequence[str]
    lines: Sequence[int] | None = None
    class_names: tuple[str, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)

    def rows(self, chosen: Sequence[int]) -> Part:
        """Some of the rows."""
        splits = self.splits
        return Part(
            self.path,
            [self.sequences[row] for row in chosen],
            [self.labels[row] for row in chosen],
            splits if isinstance(splits, str) else [splits[row] for row in chosen],
            None if self.lines is None else [self.lines[row] for row in chosen],
            self.class_names,
        )

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return str(self.path) if self.lines is None else f"{self.path}:{self.lines[row]}"

    def split(self, row: int) -> str:
        """The part of the task that a row belongs to."""
        return self.splits if isinstance(self.splits, str) else self.splits[row]


@dataclass(frozen=True, slots=True, eq=False)
class FoundTask:
    """One task as its publisher laid it out.

    Attributes:
        names: Its folders and name, outermost first, such as ``("EMP", "H3")``.
        importer: Which layout it was read from.
        parts: Its rows.
        notes: What was decided about rows, and how many they are.
    """

    names: tuple[str, ...]
    importer: str
    parts: tuple[Part, ...]
    notes: dict[str, int] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[Part, int]]:
        """Every row with its part, in order."""
        for part in self.parts:
            for row in range(len(part.sequences)):
                yield part, row

    @property
    def where(self) -> str:
        """The task's own place, for messages about all of it."""
        return str(self.parts[0].path) if self.parts else "/".join(self.names)

    def require_rows(self) -> None:
        """Refuse a task without rows.

        Raises:
            DataError: if no file has a row.
        """
        if not any(len(part.sequences) for part in self.parts):
            raise DataError("the task has no rows", where=self.where)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A task of a kind that no probe here scores.

    Attributes:
        names: As for :class:`FoundTask`.
        kind: ``regression``, ``multi-label``, ``a label a base`` or ``pairs of sequences``.
        why: What in the files says so, with the place.
    """

    names: tuple[str, ...]
    kind: str
    why: str

    @property
    def sentence(self) -> str:
        """What it is, and what is planned for its kind."""
        return f"{self.kind} ({self.why}); {PLANNED[self.kind]}"


#: What is planned for each kind of task that is left out.
PLANNED = {
    "regression": "planned: a ridge probe scored by R2 and Pearson's r",
    "multi-label": "planned: a logistic probe a label, scored by mean AUROC",
    "a label a base": "planned: a probe of the embeddings of single tokens",
    "pairs of sequences": "planned: a probe of the difference of two embeddings",
}
