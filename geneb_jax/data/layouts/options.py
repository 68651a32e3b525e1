"""What the user may say about a source, and which column means what where nobody says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geneb_jax.data.layouts.found_tasks import split_of
from geneb_jax.errors import ConfigError, DataError

__all__ = [
    "ROLES",
    "ImportOptions",
    "column_roles",
    "read_column_option",
    "read_split_option",
    "require_roles",
]

#: Role -> names under which the field's files have it, in lower case.
ROLES: dict[str, tuple[str, ...]] = {
    "sequence": ("sequence", "seq", "text", "dna", "dna_sequence", "dna_seq", "sequences"),
    "label": ("label", "labels", "target", "class", "y"),
    "split": ("split", "subset", "partition", "set", "fold"),
    "name": ("name", "id", "seq_id", "seqid", "sequence_id", "seq_name", "identifier"),
    "task": ("task",),
    "chromosome": ("chromosome", "chrom", "chr", "#chrom", "region", "seqname"),
    "start": ("start", "chromstart"),
    "end": ("end", "chromend", "stop"),
    "strand": ("strand",),
}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says about a source.

    Attributes:
        columns: Role -> the column that has it.
        splits: Value of the split column -> ``train``, ``test`` or ``dev``.
        dev: ``drop``: dev rows are kept as dev rows, which nothing uses; ``train``: they are train.
        genome: FASTA file that stretches are cut from.
        labels: Table of labels for the records of a FASTA file.
        test_share: Share of rows that become test rows where a source has no split.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    dev: str = "drop"
    genome: Path | None = None
    labels: Path | None = None
    test_share: float | None = None

    def split(self, value: str) -> str | None:
        """The part of a task that a value of the split column means; None if nobody knows."""
        text = value.strip()
        return self.splits.get(text) or (None if self.splits else split_of(text))


def read_column_option(texts: Sequence[str]) -> dict[str, str]:
    """``sequence=seq,label=target`` as a mapping.

    Raises:
        ConfigError: if it is something else.
    """
    return _pairs(texts, "--columns", tuple(ROLES), known_first=True)


def read_split_option(texts: Sequence[str]) -> dict[str, str]:
    """``0=train,1=train,2=test`` as a mapping.

    Raises:
        ConfigError: if it is something else.
    """
    return _pairs(texts, "--splits", ("train", "test", "dev"), known_first=False)


def _pairs(
    texts: Sequence[str], option: str, known: Sequence[str], *, known_first: bool
) -> dict[str, str]:
    found: dict[str, str] = {}
    example = "sequence=seq,label=target,split=fold" if known_first else "0=train,1=dev,2=test"
    for entry in ",".join(texts).split(","):
        if not entry.strip():
            continue
        first, equals, second = (part.strip() for part in entry.partition("="))
        word = first if known_first else second
        if not equals or not first or not second or word not in known:
            raise ConfigError(
                f"{option}: {entry.strip()[:80]!r} is not understood",
                cause=f"the words it knows are {', '.join(known)}",
                hint=f"write it like {option} {example}",
            )
        if found.setdefault(first, second) != second:
            raise ConfigError(f"{option}: {first!r} is given twice")
    return found


def column_roles(
    columns: Sequence[str], options: ImportOptions, where: object, *, strict: bool = True
) -> dict[str, str]:
    """Which column has which role: as the user says, or by its usual names.

    Args:
        columns: The table's columns.
        options: What the user says.
        where: The table, for messages.
        strict: Refuse what is unclear; otherwise leave it out.

    Raises:
        DataError: if a named column is not there, or two columns could have one role.
    """
    roles: dict[str, str] = {}
    for role in ROLES:
        asked = options.columns.get(role)
        if asked is None:
            found = _usual_column(role, columns, where, strict=strict)
        else:
            if strict:
                _require_column(asked, role, columns, where)
            found = asked if asked in columns else None
        if found is not None:
            roles[role] = found
    return roles


def _usual_column(role: str, columns: Sequence[str], where: object, *, strict: bool) -> str | None:
    """The column that has one of a role's usual names."""
    usual = ROLES[role]
    fitting = [name for name in columns if name.casefold() in usual]
    if len(fitting) > 1 and strict and role in ("sequence", "label"):
        raise DataError(
            f"the columns {' and '.join(repr(name) for name in fitting)} could both be the {role}",
            where=where,
            hint=f"say which: --columns {role}={fitting[0]}",
        )
    # The first of the usual names wins where it decides no score.
    return min(fitting, key=lambda name: usual.index(name.casefold())) if fitting else None


def _require_column(asked: str, role: str, columns: Sequence[str], where: object) -> None:
    if asked not in columns:
        raise DataError(
            f"there is no column {asked!r}, which --columns names as the {role}",
            where=where,
            cause=f"its columns are {_shown(columns)}",
        )


def require_roles(
    roles: Mapping[str, str], wanted: Sequence[str], columns: Sequence[str], where: object
) -> None:
    """Refuse a table that lacks a role.

    Raises:
        DataError: naming the columns that are there and the option that says which is which.
    """
    missing = [role for role in wanted if role not in roles]
    if missing:
        example = ",".join(f"{role}=COLUMN" for role in missing)
        raise DataError(
            f"no column is known to be the {' or the '.join(missing)}",
            where=where,
            cause=f"its columns are {_shown(columns)}",
            hint=f"say which: --columns {example}",
        )


def _shown(columns: Sequence[str]) -> str:
    names = ", ".join(repr(name[:40]) for name in columns[:12])
    return names + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
