"""Probe the user's own arrays: an .npz with X_train, y_train, X_test, y_test is a task.

So is what ``geneb-jax embed --export`` writes, where it has labels and a split.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.analysis import SweepLine
from geneb_jax.benchmark import Task, safe_file_name
from geneb_jax.data.layouts.found_tasks import split_of
from geneb_jax.errors import DataError
from geneb_jax.plain_files import open_plain
from geneb_jax.results import ScoreRow
from geneb_jax.runs.probe_stage import fit_problems, problem_rows, training_subsets
from geneb_jax.runs.sweep_folds import can_hold_out, score_folds, sweeps
from geneb_jax.runs.units import ProbeSettings
from geneb_jax.vectors import NamedVectors, holds_vectors, read_vectors
from geneb_jax_probes import ProbeDataError, ProbeTask
from geneb_jax_probes.labels import check_labels

__all__ = ["ArrayScores", "read_array_tasks", "score_array_tasks"]

ARRAYS = ("X_train", "y_train", "X_test", "y_test")
_HINT = f"save it with np.savez(path, {', '.join(f'{n}=...' for n in ARRAYS)})"


@dataclass(frozen=True, slots=True)
class ArrayScores:
    """What came of probing arrays.

    Attributes:
        rows: A row a task, regime, seed and C.
        sweep: Of several C: a line a task and regime; empty for one.
    """

    rows: list[ScoreRow]
    sweep: list[SweepLine]


def _silent(sentence: str) -> None:
    """Say nothing."""


def read_array_tasks(
    path: Path, say: Callable[[str], None] = _silent
) -> dict[str, dict[str, np.ndarray]]:
    """Read one .npz; nothing in it is unpickled.

    Args:
        path: The file.
        say: Takes a sentence on rows that are not used.

    Returns:
        Task -> X_train ``[n_train, d]``, y_train ``[n_train]``, and X_test and y_test likewise. One
        task named after the file, unless exported vectors say which task each row is of.

    Raises:
        DataError: if the file is not such an archive, or the shapes do not fit together.
    """
    arrays = _arrays(path)
    if holds_vectors(arrays):
        found = _tasks_of_vectors(read_vectors(arrays, where=path), path, say)
    else:
        missing = [name for name in ARRAYS if name not in arrays]
        if missing:
            raise DataError(f"no array {', '.join(missing)}", where=path, hint=_HINT)
        found = {path.stem: {name: arrays[name] for name in ARRAYS}}
    for parts in found.values():
        _check(parts, path)
    return found


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # NumPy leaves a file open that is no archive after all.
        with os.fdopen(open_plain(path), "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError("is one array, not an .npz archive of four", where=path, hint=_HINT)
            with archive:
                wanted = archive.files if holds_vectors(archive) else ARRAYS
                arrays = {name: archive[name] for name in wanted if name in archive}
                odd = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
                if odd:
                    raise DataError(f"{', '.join(odd)} is no array", where=path, hint=_HINT)
                return arrays
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(
            "there is no such file",
            where=path,
            hint="`geneb-jax embed FILES --export X.npz` makes one; " + _HINT,
        ) from error
    except Exception as error:  # zip, deflate, header and memory errors of an archive that lies
        raise DataError(
            f"cannot be read as an .npz archive of plain arrays ({error})",
            where=path,
            hint="arrays of Python objects are never opened; save numbers or fixed-width strings",
        ) from error


def _tasks_of_vectors(
    vectors: NamedVectors, path: Path, say: Callable[[str], None]
) -> dict[str, dict[str, np.ndarray]]:
    """Exported vectors as tasks: by their split, and by their task where they have one."""
    lacking = [name for name in ("label", "split") if name not in vectors.columns]
    if lacking:
        raise DataError(
            f"its vectors have no {' and no '.join(lacking)}, so there is nothing to probe",
            where=path,
            cause="the sequences came without (FASTA and plain lines have none)",
            hint="export a CSV or TSV with columns of sequences, labels and splits (train, test); "
            "other names: --columns sequence=...,label=...,split=...",
        )
    label, split = vectors.columns["label"], _splits(vectors, path)
    _require_labels(vectors, split, path)
    unused = Counter(split[(split != "train") & (split != "test")].tolist())
    if unused:
        kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(unused.items()))
        count = unused.total()
        say(f"{path}: {count:,} {_rows(count)} neither train nor test, left out ({kinds})")
    task = vectors.columns.get("task", np.full(len(label), path.stem))
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in dict.fromkeys(task.tolist()):
        parts: dict[str, np.ndarray] = {}
        for part in ("train", "test"):
            rows = (task == name) & (split == part)
            if not rows.any():
                there = ", ".join(map(str, np.unique(split[task == name])))
                raise DataError(
                    f"no row of {name} has the split {part!r}: the splits are {there}",
                    where=path,
                    hint="the column of splits must say train and test",
                )
            parts |= {f"X_{part}": vectors.embeddings[rows], f"y_{part}": label[rows]}
        found[str(name)] = parts
    return found


def _splits(vectors: NamedVectors, path: Path) -> np.ndarray:
    """``train``, ``test`` or ``dev`` of each row, however it is spelled; others are refused."""
    spelled = vectors.columns["split"]
    known = {name: split_of(str(name)) for name in np.unique(spelled).tolist()}
    odd = [name for name, split in known.items() if split is None]
    if odd:
        rows = np.flatnonzero(np.isin(spelled, odd))
        shown = ", ".join(repr(name) for name in odd[:5]) + (", ..." if len(odd) > 5 else "")
        raise DataError(
            f"the split {shown} of {len(rows):,} {_rows(len(rows))} is none that is known",
            where=f"{path}: {_row(vectors, rows[0])}",
            cause="another column was taken for the splits, or a cell is empty or misspelled",
            hint="write train, test or dev in every row and export it again; another column: "
            "--columns split=COLUMN",
        )
    return np.array([str(known[name]) for name in spelled.tolist()])


def _require_labels(vectors: NamedVectors, split: np.ndarray, path: Path) -> None:
    """Refuse a train or test row without a label: it would be a class of its own."""
    label = vectors.columns["label"]
    rows = np.flatnonzero(_empty(label) & (split != "dev"))
    if len(rows):
        raise DataError(
            f"{len(rows):,} of {len(label):,} rows without a label",
            where=f"{path}: {_row(vectors, rows[0])}",
            cause="the cell of the column of labels is empty",
            hint="fill it in, or take the row out, and export the table again",
        )


def _empty(label: np.ndarray) -> np.ndarray:
    """Bool, of the labels' shape: is an empty text."""
    if label.dtype.kind not in "US":
        return np.zeros(label.shape, bool)
    empty: np.ndarray = np.char.str_len(np.char.strip(label)) == 0
    return empty


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _row(vectors: NamedVectors, row: int) -> str:
    """A row's place and name, for messages."""
    return f"row {row + 1} ({vectors.names[row]})"


def _check(arrays: dict[str, np.ndarray], path: Path) -> None:
    for part in ("train", "test"):
        X, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        try:
            check_labels(y, f"y_{part}")
        except ProbeDataError as error:
            raise DataError(str(error), where=path, hint="give every row its class") from error
        empty = np.flatnonzero(_empty(y))
        if len(empty):
            raise DataError(
                f"y_{part}[{empty[0]}] is empty: {len(empty):,} of {len(y):,} rows without a label",
                where=path,
                hint="give every row its class, or take it out",
            )
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


def score_array_tasks(
    paths: Sequence[Path],
    settings: ProbeSettings,
    *,
    model_id: str = "arrays",
    say: Callable[[str], None] = _silent,
) -> ArrayScores:
    """Fit and score every regime, seed and C of every file, in one batched call.

    The file's stem is the task's name, unless the file names tasks itself; ``say`` takes sentences
    on rows that are not used. Of several C one is chosen on held-out training rows, as a run does
    it, but for each task by itself: arrays of a call need have nothing in common.

    Raises:
        DataError: if a file cannot be used, or two tasks have the same name.
    """
    tasks: list[Task] = []
    problems: list[ProbeTask] = []
    for path in paths:
        for name, arrays in read_array_tasks(path, say).items():
            task = Task(task_id=safe_file_name(name), label=name, category="arrays")
            if any(task.task_id == other.task_id for other in tasks):
                raise DataError(
                    f"two tasks are called {task.task_id}",
                    where=path,
                    hint="rename one of the files",
                )
            tasks.append(task)
            subsets = training_subsets(arrays["y_train"], settings)
            problems.append(ProbeTask(**arrays, subsets=subsets, name=name))
    rows: list[ScoreRow] = []
    for task, scores in zip(tasks, fit_problems(problems, settings), strict=True):
        for regime_rows in problem_rows(model_id, task, scores, settings).values():
            rows.extend(regime_rows)
    sweep: list[SweepLine] = []
    if sweeps(settings):
        folds = score_folds(problems, settings) if can_hold_out(settings) else [None] * len(tasks)
        for task, held_out in zip(tasks, folds, strict=True):
            own = [row for row in rows if row.task_id == task.task_id]
            sweep += _sweep_of(own, task, settings, held_out)
    return ArrayScores(rows, sweep)


def _sweep_of(
    rows: Sequence[ScoreRow], task: Task, settings: ProbeSettings, held_out: np.ndarray | None
) -> list[SweepLine]:
    """Each regime's MCC by C: the mean over seeds on the test rows, and on held-out ones."""
    lines = []
    for regime in settings.regimes:
        by_C: dict[float, list[float]] = {}
        for row in rows:
            if row.regime == regime.name and row.mcc is not None:
                by_C.setdefault(row.C, []).append(row.mcc)
        test = {C: float(np.mean(by_C[C])) for C in sorted(by_C)}
        if len(test) < 2:
            continue
        held: dict[float, float] = {}
        if held_out is not None and not regime.seeded and np.isfinite(held_out).all():
            means = dict(zip(settings.C, held_out.mean(axis=1).tolist(), strict=True))
            held = {C: means[C] for C in test}
        name = f"{rows[0].model_id}: {task.label}"
        lines.append(SweepLine(name, regime.name, settings.probe, settings.solver, 1, test, held))
    return lines
