"""Probe the user's own arrays: an .npz with X_train, y_train, X_test, y_test is a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geneb_jax.benchmark import Task, safe_file_name
from geneb_jax.errors import DataError
from geneb_jax.results import ScoreRow
from geneb_jax.runs.probe_stage import fit_problems, problem_rows, training_subsets
from geneb_jax.runs.units import ProbeSettings
from geneb_jax_probes import ProbeDataError, ProbeTask
from geneb_jax_probes.labels import check_labels

__all__ = ["read_array_task", "score_array_tasks"]

ARRAYS = ("X_train", "y_train", "X_test", "y_test")


def read_array_task(path: Path) -> dict[str, np.ndarray]:
    """Read one .npz; nothing in it is unpickled.

    Returns:
        X_train ``[n_train, d]``, y_train ``[n_train]``, and X_test and y_test likewise.

    Raises:
        DataError: if the file is not such an archive, or the shapes do not fit together.
    """
    hint = f"save it with np.savez(path, {', '.join(f'{n}=...' for n in ARRAYS)})"
    try:
        # NumPy leaves a file open that is no archive after all.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError("is one array, not an .npz archive of four", where=path, hint=hint)
            with archive:
                missing = [name for name in ARRAYS if name not in archive]
                if missing:
                    raise DataError(
                        f"no array {', '.join(missing)}",
                        where=path,
                        hint=hint,
                    )
                arrays = {name: archive[name] for name in ARRAYS}
                odd = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
                if odd:
                    raise DataError(f"{', '.join(odd)} is no array", where=path, hint=hint)
    except DataError:
        raise
    except Exception as error:  # zip, deflate, header and memory errors of an archive that lies
        raise DataError(
            f"cannot be read as an .npz archive of plain arrays ({error})",
            where=path,
            hint="arrays of Python objects are never opened; save numbers or fixed-width strings",
        ) from error
    for part in ("train", "test"):
        X, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        try:
            check_labels(y, f"y_{part}")
        except ProbeDataError as error:
            raise DataError(str(error), where=path, hint="give every row its class") from error
        if X.ndim != 2 or y.ndim != 1 or len(X) != len(y) or not len(X):
            raise DataError(
                f"X_{part} has shape {X.shape} and y_{part} {y.shape}; "
                "they must be [rows, features] and [rows] with the same, non-zero number of rows",
                where=path,
            )
    if arrays["X_train"].shape[1] != arrays["X_test"].shape[1]:
        raise DataError(
            f"X_train has {arrays['X_train'].shape[1]} features and X_test "
            f"{arrays['X_test'].shape[1]}",
            where=path,
        )
    return arrays


def score_array_tasks(
    paths: Sequence[Path], settings: ProbeSettings, *, model_id: str = "arrays"
) -> list[ScoreRow]:
    """Fit and score every regime, seed and C of every file, in one batched call.

    The file's stem is the task's name.

    Raises:
        DataError: if a file cannot be used, or two have the same stem.
    """
    tasks: list[Task] = []
    problems: list[ProbeTask] = []
    for path in paths:
        arrays = read_array_task(path)
        task = Task(task_id=safe_file_name(path.stem), label=path.stem, category="arrays")
        if any(task.task_id == other.task_id for other in tasks):
            raise DataError("two files have the same name", where=path, hint="rename one of them")
        tasks.append(task)
        problems.append(
            ProbeTask(
                **arrays, subsets=training_subsets(arrays["y_train"], settings), name=path.stem
            )
        )
    rows: list[ScoreRow] = []
    for task, scores in zip(tasks, fit_problems(problems, settings), strict=True):
        for regime_rows in problem_rows(model_id, task, scores, settings).values():
            rows.extend(regime_rows)
    return rows
