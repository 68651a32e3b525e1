"""What disks and people do to files: bits that flip, files that go, are cut, emptied or swapped."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.report_pages import timeless

#: Of the moment (times, versions, seconds), or remnants that nobody reads.
OF_THE_MOMENT = ("run.json", "cost.json")


def is_content(path: Path) -> bool:
    """Whether a file is what a folder holds: no lock, no remnant of a temporary file."""
    return path.is_file() and not path.name.startswith(".") and "__lock" not in path.name


def content_files(*folders: Path) -> list[Path]:
    """What the folders hold, in order."""
    return [path for folder in folders for path in sorted(folder.rglob("*")) if is_content(path)]


def final_bytes(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of every file that two runs of the same must agree in.

    Of answers, the bytes of their arrays: an archive also has dates and attributes, which nobody
    reads.
    """
    return {
        path.relative_to(folder).as_posix(): _meaning(path)
        for path in content_files(folder)
        if path.name not in OF_THE_MOMENT
    }


def _meaning(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name == "report.html" and content.count(b"times-->") == 2:
        return timeless(content)
    if path.parent.name != "answers":
        return content
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in sorted(archive.files)}
    except Exception:  # damaged: its own bytes equal nobody's
        return content
    return repr(
        [(name, each.dtype, each.shape, each.tobytes()) for name, each in arrays.items()]
    ).encode()


def difference(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Names of the files that are not the same."""
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


def flip_bits(path: Path, generator: random.Random, count: int = 1) -> list[int]:
    """Flip random bits of a file in place; which, counted from its start."""
    content = bytearray(path.read_bytes())
    bits = [generator.randrange(len(content) * 8) for _ in range(count)] if content else []
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    _overwrite(path, bytes(content))
    return bits


def cut(path: Path, generator: random.Random) -> int:
    """Cut a file to a random length, often to nothing; the length."""
    content = path.read_bytes()
    length = 0 if generator.random() < 0.3 else generator.randrange(len(content) + 1)
    _overwrite(path, content[:length])
    return length


def swap(paths: Iterable[Path], generator: random.Random) -> tuple[Path, Path]:
    """Exchange the contents of two files."""
    first, second = generator.sample(list(paths), 2)
    contents = first.read_bytes(), second.read_bytes()
    _overwrite(first, contents[1])
    _overwrite(second, contents[0])
    return first, second


def _overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(content)
