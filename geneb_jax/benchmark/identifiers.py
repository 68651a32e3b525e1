"""Names that become file names: task ids and model ids.

A task id from a suite file becomes a path on reading and on writing, so it must match an
allow-list; nothing is ever cleaned up silently. A model id is free text (``org/name``) and is
sanitised by the benchmark's own submission rule instead.
"""

from __future__ import annotations

import re

from geneb_jax.errors import ConfigError

__all__ = ["MAX_TASK_ID_LENGTH", "require_task_id", "safe_file_name", "task_id_problem"]

#: Longest task id; with ``.csv.gz`` and a temporary file's affixes it stays within 255 bytes.
MAX_TASK_ID_LENGTH = 180

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in range(10)]
)


def task_id_problem(task_id: str) -> str | None:
    """Say why ``task_id`` cannot name a task's files, or None when it can.

    Allowed are ASCII letters, digits, ``.``, ``_`` and ``-``, at most 180 of them, starting with a
    letter or digit, without ``..``, without a trailing dot, and not a device name of Windows.
    """
    if not task_id:
        return "is empty"
    if len(task_id) > MAX_TASK_ID_LENGTH:
        return f"has {len(task_id)} characters; at most {MAX_TASK_ID_LENGTH} are allowed"
    if not _ALLOWED.fullmatch(task_id):
        return "may hold only A-Z a-z 0-9 . _ - and must start with a letter or digit"
    if ".." in task_id or task_id.endswith("."):
        return "must not hold '..' or end with a dot"
    if task_id.split(".", 1)[0].lower() in _RESERVED:
        return "is a reserved device name on Windows"
    return None


def require_task_id(task_id: str, *, where: object = None) -> str:
    """Return ``task_id`` unchanged if it may name files.

    Raises:
        ConfigError: if it is not on the allow-list of :func:`task_id_problem`.
    """
    problem = task_id_problem(task_id)
    if problem is not None:
        raise ConfigError(
            f"the task id {task_id[:80]!r} {problem}",
            where=where,
            hint="task ids become file names; rename the task",
        )
    return task_id


def safe_file_name(model_id: str) -> str:
    """Name of a model's submission without ``.json``: GENEB's rule, every other character to ``_``.

    Source: the benchmark's submission rule, ``[^A-Za-z0-9._-]`` replaced by ``_``.
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", model_id)
