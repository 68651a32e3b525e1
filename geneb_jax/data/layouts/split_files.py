"""Layouts with a file a part: ``H3/train.csv``, ``m_esculenta_train.fa``, parquet shards.

So are published: GUE and GUE+ (CSV of sequence and label), the Nucleotide Transformer's tasks
(FASTA with ``name|label``; parquet with a column ``task``), OmniGenBench (JSON lines), the Plant
Genomic Benchmark (FASTA with a prefix a species), Genomic Benchmarks on the hub, GENEB itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from geneb_jax.data.layouts.fasta import FASTA_ENDINGS, read_fasta
from geneb_jax.data.layouts.fasta_rows import fasta_part
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut, split_of
from geneb_jax.data.layouts.label_files import labels_beside
from geneb_jax.data.layouts.options import ImportOptions, column_roles
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending, inner_stem
from geneb_jax.data.layouts.table_rows import (
    Candidate,
    merged,
    table_parts,
    unusable_labels,
)
from geneb_jax.data.layouts.tables import TABLE_ENDINGS, read_table, table_columns
from geneb_jax.errors import DataError

__all__ = ["find", "read", "require_whole"]

_PREFIXED = re.compile(r"(?P<name>.+)[._-](?P<split>[A-Za-z]+)")
_SHARD = re.compile(
    r"(?P<split>[A-Za-z]+)-(?P<number>[0-9]{1,6})(-of-(?P<total>[0-9]{1,6}))?(-[0-9a-f]{8,40})?"
)
#: Folders that hold files and name no task.
_NAMELESS = ("data", "default")


def find(files: SourceFiles, paths: Sequence[Path], options: ImportOptions) -> list[Candidate]:
    """Groups of files that are the parts of one task, by their names.

    A file that is called ``train`` or ``test``, has no counterpart and holds a column of splits is
    a task of its own.
    """
    groups: dict[tuple[str, ...], list[tuple[str, Path]]] = {}
    for path in paths:
        if inner_ending(path) not in (*TABLE_ENDINGS, *FASTA_ENDINGS):
            continue
        named = _name_and_split(path)
        if named is not None:
            parents = tuple(
                part
                for part in path.relative_to(files.root).parts[:-1]
                if part.lower() not in _NAMELESS
            )
            groups.setdefault((*parents, *named[0]), []).append((named[1], path))
    return [
        Candidate(names, _importer(files, group), tuple(sorted(group, key=_train_first)))
        for names, group in groups.items()
        if _is_divided(files, group, options)
    ]


def _is_divided(
    files: SourceFiles, group: Sequence[tuple[str, Path]], options: ImportOptions
) -> bool:
    splits = {split for split, _ in group}
    if {"train", "test"} <= splits:
        return True
    return bool({"train", "test"} & splits) and not any(
        "split" in column_roles(table_columns(files, path), options, path, strict=False)
        for _, path in group
    )


def _name_and_split(path: Path) -> tuple[tuple[str, ...], str] | None:
    stem = inner_stem(path)
    split = split_of(stem)
    if split is not None:
        return (), split
    shard = _SHARD.fullmatch(stem)
    if shard is not None and split_of(shard["split"]):
        return (), str(split_of(shard["split"]))
    prefixed = _PREFIXED.fullmatch(stem)
    if prefixed is not None and split_of(prefixed["split"]):
        return (prefixed["name"],), str(split_of(prefixed["split"]))
    return None


def _train_first(named: tuple[str, Path]) -> tuple[int, str]:
    return ("train", "dev", "test").index(named[0]), named[1].name


def _importer(files: SourceFiles, group: list[tuple[str, Path]]) -> str:
    """Whose layout it is, from endings and columns; a name for reports, it decides nothing."""
    path = group[0][1]
    ending = inner_ending(path)
    if ending in FASTA_ENDINGS:
        plain = split_of(inner_stem(path)) is not None
        return "Nucleotide Transformer FASTA" if plain else "Plant Genomic Benchmark FASTA"
    columns = {column.casefold() for column in table_columns(files, path)}
    if {"sequence", "name", "label"} <= columns and ending == ".parquet":
        return "Nucleotide Transformer parquet"
    if ending in (".json", ".jsonl", ".ndjson"):
        return "OmniGenBench JSON lines"
    if columns == {"sequence", "label"} and ending == ".csv":
        return "GUE"
    if columns == {"seq", "label"}:
        return "Genomic Benchmarks table"
    return "GENEB" if {"text", "label"} <= columns else f"train and test {ending}"


def read(
    files: SourceFiles, candidate: Candidate, options: ImportOptions
) -> list[FoundTask | LeftOut]:
    """The tasks of a group of files: one, or one a value of the column ``task``.

    Raises:
        DataError: if a part is there twice, or a file cannot be used.
    """
    _require_one_each(candidate)
    found = []
    for split, path in candidate.paths:
        if inner_ending(path) in FASTA_ENDINGS:
            records = read_fasta(files, path)
            labels = labels_beside(files, records, options)
            found.append((candidate.names, fasta_part(records, split, labels, options)))
            continue
        table = read_table(files, path)
        left_out = unusable_labels(table, candidate.names)
        if left_out is not None:
            return [left_out]
        for task, part in table_parts(table, split, options).items():
            inner = () if not task or task in candidate.names else (task,)
            found.append(((*candidate.names, *inner), part))
    return list(merged(found, candidate.importer))


def require_whole(files: SourceFiles, found: Sequence[Candidate]) -> None:
    """Refuse tasks that lack their train or test file, all of them at once.

    Raises:
        DataError: naming the tasks.
    """
    lacking = {
        part: [one for one in found if _has_parts(one) and not _has_part(one, part)]
        for part in ("train", "test")
    }
    said = [_lacks(those, part, files.name) for part, those in lacking.items() if those]
    if said:
        dev = any(_has_part(one, "dev") for one in lacking["test"])
        raise DataError(
            "; ".join(said),
            where=files.source,
            cause="dev rows never stand in for test rows" if dev else None,
            hint="bring the missing files, or give the folder of the tasks that are whole",
        )


def _lacks(tasks: Sequence[Candidate], part: str, source: str) -> str:
    names = ["/".join(one.names) or source for one in tasks]
    have = "tasks have" if len(names) > 1 else "task has"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {have} no {part} file: {', '.join(names[:3])}{more}"


def _has_parts(candidate: Candidate) -> bool:
    return any(split for split, _ in candidate.paths)


def _has_part(candidate: Candidate, part: str) -> bool:
    return any(split == part for split, _ in candidate.paths)


def _require_one_each(candidate: Candidate) -> None:
    """Refuse files that hold the same rows twice: a part is one file, or the shards of one table.

    Shards lie in one folder, have one ending, one count and a number each.
    """
    first: dict[str, Path] = {}
    numbers: dict[tuple[str, str], Path] = {}
    for split, path in candidate.paths:
        before = first.setdefault(split, path)
        shard = _SHARD.fullmatch(inner_stem(path))
        other: Path | None = before if before != path else None
        if shard is not None and other is not None and _of_one_table(before, path):
            other = None
        if shard is not None and other is None:
            twin = numbers.setdefault((split, shard["number"]), path)
            other = twin if twin != path else None
        if other is not None:
            raise DataError(
                f"there are two files of the same part: {_shown(other, path)} and {path.name}",
                where=path.parent,
                cause=f"both would be the {split} rows of one task",
                hint="keep the one you mean and move the other away",
            )


def _of_one_table(one: Path, other: Path) -> bool:
    shards = [_SHARD.fullmatch(inner_stem(path)) for path in (one, other)]
    totals = {None if shard is None else shard["total"] for shard in shards}
    return (
        None not in shards
        and len(totals) == 1
        and one.parent == other.parent
        and inner_ending(one) == inner_ending(other)
    )


def _shown(path: Path, beside: Path) -> str:
    return path.name if path.parent == beside.parent else str(path)
