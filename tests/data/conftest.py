"""Task folders for tests of reading."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from geneb_jax.benchmark import Task, load_suite
from geneb_jax.data import TaskSource, TaskTable, find_task_files, read_task

TASK = Task("toy", "Toy", "Toys")

#: Six good rows; every test of a fault changes one thing in a file like this.
GOOD = (
    "text,label,split\nACGT,0,train\nAACC,1,train\nGGTT,0,train\nTTTT,1,train\n"
    "CCCC,0,test\nGGGG,1,test\n"
)


@pytest.fixture
def good() -> str:
    """A small flat file without anything unusual."""
    return GOOD


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder; text in a file whose name ends in ``.gz`` is compressed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            raw = content.encode("utf-8")
            content = gzip.compress(raw) if name.endswith(".gz") else raw
        path.write_bytes(content)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], None]:
    """Write files below the test's folder."""
    return lambda files: write_files(tmp_path, files)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., TaskTable]:
    """Write files and read them as the task ``toy``.

    Called with text or bytes it writes ``toy.csv``; called with a mapping it writes each file.
    """

    def write_and_read(content: str | bytes | Mapping[str, str | bytes]) -> TaskTable:
        write_files(tmp_path, content if isinstance(content, Mapping) else {"toy.csv": content})
        return read_task(TASK, TaskSource(tmp_path))

    return write_and_read


@pytest.fixture(scope="session")
def real_tables(real_tasks: Path) -> list[TaskTable]:
    """The tables of all real task files, in the suite's order."""
    found = find_task_files(load_suite("geneb"), real_tasks)
    return [read_task(task, TaskSource(real_tasks)) for task in found.tasks]
