"""The text of a ``suite.toml``; docs/your-own-tasks.md has the format."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["TaskEntry", "suite_toml"]

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """What suite.toml says of a task; ``classes`` are names of its labels 0, 1, 2, ..."""

    task_id: str
    label: str
    category: str
    classes: tuple[str, ...] = ()


def suite_toml(
    name: str,
    title: str,
    tasks: Sequence[TaskEntry],
    notes: Sequence[str] = (),
    *,
    files: str | None = None,
) -> str:
    """The file's text.

    Args:
        name: The suite's name.
        title: What reports call it.
        tasks: Its tasks, in their order.
        notes: Sentences on where its data came from.
        files: The folder below it that holds the task files; None for the folder itself.
    """
    lines = [
        "# A suite of your own: geneb-jax run --suite THIS_FOLDER -m kmer-4",
        "# Titles, labels, categories are yours to change; docs/your-own-tasks.md has the format.",
        "",
        f"name = {_text(name)}",
        f"title = {_text(title)}",
    ]
    if files is not None:
        lines.append(f"files = {_text(files)}")
    if notes:
        lines += ["notes = [", *(f"  {_text(note, longest=2000)}," for note in notes), "]"]
    spellings: dict[str, str] = {}
    for task in tasks:
        category = _clean(task.category)
        lines += [
            "",
            "[[tasks]]",
            f"id = {_text(task.task_id)}",
            f"label = {_text(task.label)}",
            # One spelling a category, as the format asks.
            f"category = {_text(spellings.setdefault(category.casefold(), category))}",
        ]
        if task.classes:
            lines.append("classes = [" + ", ".join(_text(one) for one in task.classes) + "]")
    return "\n".join(lines) + "\n"


def _clean(text: str, longest: int = _LONGEST) -> str:
    """Text without control characters, which no table should show, and of bounded length."""
    shown = "".join("?" if unicodedata.category(letter)[0] == "C" else letter for letter in text)
    return shown[:longest] or "?"


def _text(text: str, *, longest: int = _LONGEST) -> str:
    return json.dumps(_clean(text, longest), ensure_ascii=False)
