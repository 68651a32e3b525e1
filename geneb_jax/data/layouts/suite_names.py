"""Ids for tasks and names for suites, from the names of folders and files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from geneb_jax.benchmark import builtin_suites, load_suite, task_id_problem

__all__ = ["suite_name", "task_ids"]

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 64
_LONGEST_ID = 150


def suite_name(text: str) -> str:
    """A suite's name from a folder's; never that of a built-in suite."""
    name = _plain(text)[:_LONGEST_NAME] or "suite"
    return f"{name[: _LONGEST_NAME - 4]}-own" if name in builtin_suites() else name


def task_ids(names: Sequence[Sequence[str]], fallback: str) -> list[str]:
    """An id for each task, from its folders and name; unlike each other in any case of letters.

    Where one of them would be a number alone, all get the source's name in front. An id of the
    benchmark is never made: only a file that has that very name keeps it.

    Args:
        names: Folders and name of each task.
        fallback: The source's own name.
    """
    bare = ["_".join(part for part in map(_plain, parts) if part) for parts in names]
    if any(not re.search("[A-Za-z]", text) for text in bare):
        bare = ["_".join(filter(None, (_plain(fallback), text))) for text in bare]
    benchmark = {task.task_id.casefold() for task in load_suite("geneb").tasks}
    ids: list[str] = []
    used: set[str] = set()
    for parts, text in zip(names, bare, strict=True):
        wanted = _allowed(text, parts, benchmark)
        task_id, place = wanted, 2
        while task_id.casefold() in used:
            task_id, place = f"{wanted}_{place}", place + 1
        used.add(task_id.casefold())
        ids.append(task_id)
    return ids


def _allowed(text: str, parts: Sequence[str], benchmark: set[str]) -> str:
    wanted = text[:_LONGEST_ID].strip("._-") or "task"
    if wanted.casefold() in benchmark and wanted not in parts:
        wanted = f"own_{wanted}"
    return wanted if task_id_problem(wanted) is None else f"task_{wanted}"


def _plain(text: str) -> str:
    return re.sub(r"\.{2,}", ".", _OTHER.sub("_", text)).strip("._-")
