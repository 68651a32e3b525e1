"""Suites, requests and commands for runs by many workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.runs.request import request_from_mapping


def write_suite(
    folder: Path, *, tasks: int, rows: int, length_bp: int = 60, real: Sequence[Path] = ()
) -> Path:
    """Random tasks of two classes, with rows that several tasks share, and real files beside."""
    folder.mkdir()
    names = [f"task-{number}" for number in range(tasks)]
    ids = [*names, *(file.name.removesuffix(".csv.gz") for file in real)]
    for file in real:
        (folder / file.name).symlink_to(file)
    listed = "".join(f'  {{ id = "{name}", category = "Only" }},\n' for name in ids)
    (folder / "suite.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = [\n{listed}]\n', encoding="utf-8"
    )
    random = np.random.default_rng(0)
    common = _texts(random, rows // 10, length_bp)
    for name in names:
        own = common + _texts(random, rows - len(common), length_bp)
        lines = ["text,label,split"]
        for row, text in enumerate(own):
            lines.append(f"{text},{row % 2},{'train' if row < rows * 3 // 4 else 'test'}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _alike(count: int) -> np.ndarray:
    return np.full(count, 60)


def _texts(random: np.random.Generator, count: int, length_bp: int) -> list[str]:
    letters = np.frombuffer(b"ACGT", np.uint8)
    lengths = random.integers(length_bp // 2, length_bp * 2, count) if length_bp else _alike(count)
    flat = letters[random.integers(0, 4, int(lengths.sum()))].tobytes().decode()
    ends = np.cumsum(lengths).tolist()
    return [flat[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def request_of(suite: Path, place: Path, model: str, **more: Any) -> Any:
    return request_from_mapping(
        {
            "model": [model],
            "suite": str(suite),
            "out": str(place / "out"),
            "store": str(place / "store"),
            **more,
        }
    )


def command(
    suite: Path, place: Path, *more: str, verb: str = "run", model: str = "kmer-4"
) -> list[str]:
    arguments = [verb, "-m", model, "--suite", str(suite), "--store", str(place / "store")]
    arguments += ["--out", str(place / "out"), "--json", *more]
    return [sys.executable, "-W", "error::ResourceWarning", "-m", "geneb_jax", *arguments]


def children(parent: int) -> list[int]:
    """Processes that a process has started and that run Python."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"spawn_main" in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
        except (OSError, IndexError):
            continue
    return found


def start(arguments: Sequence[str], place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place
    )
