"""Genomic Benchmarks: ``TASK/train/CLASS/*.txt``, one sequence a file.

Source: the layout that its download_dataset makes (ML-Bioinfo-CEITEC/genomic_benchmarks). Its other
layout, ``TASK/train/CLASS.csv.gz`` of stretches of a genome, is :mod:`..intervals`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geneb_jax.data.layouts.found_tasks import FoundTask, Part, split_of
from geneb_jax.data.layouts.source_files import SourceFiles
from geneb_jax.data.layouts.table_rows import Candidate

__all__ = ["IMPORTER", "find", "read"]

IMPORTER = "Genomic Benchmarks text files"


def find(files: SourceFiles, paths: Sequence[Path]) -> list[Candidate]:
    """Tasks whose classes are folders of text files below ``train`` and ``test``."""
    tasks: dict[tuple[str, ...], list[tuple[str, Path]]] = {}
    folders: set[Path] = set()
    for path in paths:
        if path.suffix.lower() != ".txt" or path.parent in folders:
            continue
        above = path.parent.relative_to(files.root).parts
        if len(above) < 2 or split_of(above[-2]) is None:
            continue
        folders.add(path.parent)
        tasks.setdefault(above[:-2], []).append((str(split_of(above[-2])), path.parent))
    return [
        Candidate(names, IMPORTER, tuple(sorted(parts, key=_train_first)))
        for names, parts in tasks.items()
        if {"train", "test"} <= {split for split, _ in parts}
    ]


def read(files: SourceFiles, candidate: Candidate) -> FoundTask:
    """The task; rows are in the order of their files' names, numbers as numbers.

    Raises:
        DataError: naming the file.
    """
    inside: dict[Path, list[Path]] = {folder: [] for _, folder in candidate.paths}
    for path in files.paths:
        if path.parent in inside and path.suffix.lower() == ".txt":
            inside[path.parent].append(path)
    parts = []
    for split, folder in candidate.paths:
        texts = files.read_text_files(folder, sorted(inside[folder], key=_file_order))
        parts.append(Part(folder, texts, [folder.name] * len(texts), split))
    return FoundTask(candidate.names, IMPORTER, tuple(parts))


def _train_first(part: tuple[str, Path]) -> tuple[int, str]:
    return ("train", "dev", "test").index(part[0]), part[1].name


def _file_order(path: Path) -> tuple[int, int, str]:
    number = path.stem.isascii() and path.stem.isdigit() and len(path.stem) <= 18
    return (0, int(path.stem), "") if number else (1, 0, path.name)
