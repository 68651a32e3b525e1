"""Real tasks, 4-mer features: steps and predictions are scikit-learn's, fit by fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import geneb_jax
from geneb_jax.benchmark import load_suite
from geneb_jax.data import TaskSource, few_shot_rows, find_task_files, read_task
from geneb_jax_probes import ProbeTask, fit_tasks
from tests.tolerance import Tolerance

SEEDS = (13, 17, 42, 123, 997)
FEW = ("iDHS-EL_DNase_I", "katarinagresova_Genomic_Benchmarks_human_ensembl_regulatory")


def _tasks(folder: Path, names: Sequence[str] | None) -> list[ProbeTask]:
    suite = load_suite("geneb")
    model = geneb_jax.load_model("kmer-4")
    made = []
    for task in find_task_files(suite, folder).tasks:
        if names is not None and task.task_id not in names:
            continue
        table = read_task(task, TaskSource(folder))
        y = table.train_labels
        draws = [few_shot_rows(y, shots, seed) for shots in (10, 1) for seed in SEEDS]
        X, X_test = (model.embed(list(s)) for s in (table.train_sequences, table.test_sequences))
        made.append(ProbeTask(X, y, X_test, table.test_labels, [None, *draws], task.task_id))
    return made


def _compare(tasks: list[ProbeTask], tie: float) -> int:
    """Compare every fit that takes at most 50 steps; the number compared."""
    compared = 0
    for task, found in zip(tasks, fit_tasks(tasks, keep_predictions=True), strict=True):
        assert found.predictions is not None
        X, X_test = task.X_train.astype(np.float64), task.X_test.astype(np.float64)
        for s, rows in enumerate(task.subsets or ()):
            chosen = slice(None) if rows is None else rows
            peer = LogisticRegression(max_iter=1000).fit(X[chosen], task.y_train[chosen])
            if peer.n_iter_[0] > 50:
                continue
            assert found.n_iter[s, 0] == peer.n_iter_[0], (task.name, s)
            z = peer.decision_function(X_test)
            top = np.sort(np.stack([z, 0 * z], 1) if z.ndim == 1 else z, axis=1)
            clear = top[:, -1] - top[:, -2] > tie
            differs = found.predictions[s, 0] != peer.predict(X_test)
            assert not (differs & clear).any(), (task.name, s)
            compared += 1
    return compared


def test_two_real_tasks(real_tasks: Path, tolerance: Tolerance) -> None:
    assert _compare(_tasks(real_tasks, FEW), tolerance("probe_tie", "float64")) == 22


@pytest.mark.sweep
def test_every_real_task(real_tasks: Path, tolerance: Tolerance) -> None:
    tasks = _tasks(real_tasks, None)
    assert _compare(tasks, tolerance("probe_tie", "float64")) == 11 * len(tasks)
