"""The message where no task can be used: every cause once, and the commands that help."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from geneb_jax.benchmark import Suite, Task
from geneb_jax.data import find_task_files, look_at
from geneb_jax.errors import ConfigError, DataError
from geneb_jax.results.suite_record import read_suite_record
from geneb_jax.runs.places import OUT
from geneb_jax.runs.request import RunRequest

__all__ = ["nothing_usable", "run_options"]

_MOST_CAUSES = 4


def run_options(request: RunRequest, folder: Path) -> str:
    """The models and the output folder of a request, as they follow ``run --suite FOLDER``.

    A folder that holds the results of another suite is not offered again.

    Args:
        request: The request that could not be carried out.
        folder: Its folder of task files, whose name another output folder gets.
    """
    words = [word for name in request.model for word in ("-m", name)]
    out = request.out
    try:
        taken = read_suite_record(out) is not None
    except ConfigError:
        taken = True
    if taken:
        out = out.with_name(f"{out.name}-{folder.resolve().name or 'own'}")
    if out != Path(OUT):
        words += ["--out", str(out)]
    return "".join(f" {shlex.quote(word)}" for word in words)


def nothing_usable(
    suite: Suite,
    folder: Path,
    failures: Mapping[Task, str],
    run: str = "",
    beside: Path = Path(),
) -> DataError:
    """Why no task of a suite can be used, all causes told, those of one kind as one.

    Args:
        suite: The suite.
        folder: The folder of task files.
        failures: Why each chosen task cannot be used.
        run: What follows ``run --suite FOLDER`` in the commands that are offered.
        beside: Where they would make another suite's folder: beside the results.
    """
    there = set(find_task_files(suite, folder).tasks)
    causes = [text for task, text in failures.items() if task in there]
    absent = [task for task in failures if task not in there]
    own = look_at(folder, suite)
    said = [*_faults(causes), *_absent(absent)]
    if not failures:
        said.append("there is no file named after one of its tasks")
    if own.said and not causes:
        said.append(own.said)
    hint = own.hint(run, beside)
    if causes and not own.tasks:
        hint = f"`geneb-jax data check {shlex.quote(str(folder))}` names every fault"
    elif absent and not own.tasks:
        hint = f"`geneb-jax data fetch` brings GENEB's files; {hint}"
    return DataError(
        f"no task of the suite {suite.name} can be used",
        where=folder,
        cause="; ".join(said),
        hint=hint,
    )


def _faults(causes: Sequence[str]) -> list[str]:
    said = [text.rstrip(".") for text in dict.fromkeys(causes)][:_MOST_CAUSES]
    if len(causes) > _MOST_CAUSES:
        said.append(f"and {len(causes) - _MOST_CAUSES} more like these")
    return said


def _absent(tasks: Sequence[Task]) -> list[str]:
    if not tasks:
        return []
    shown = ", ".join(task.task_id for task in tasks[:3])
    more = f" and {len(tasks) - 3} more" if len(tasks) > 3 else ""
    return [
        f"{f'{len(tasks)} files are' if len(tasks) > 1 else '1 file is'} missing: {shown}{more}"
    ]
