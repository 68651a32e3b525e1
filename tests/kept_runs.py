"""A run's output folder with kept predictions, without a run: labels, guesses and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import matthews_corrcoef

from geneb_jax.benchmark import Suite
from geneb_jax.results import (
    AnswerKey,
    Records,
    ScoreRow,
    UnitKey,
    UnitPredictions,
    keep_answer_key,
    write_run_record,
    write_scores_csv,
)
from tests.run_records import run_record

__all__ = ["fingerprint", "write_kept_run"]


def fingerprint(task_id: str) -> str:
    """A stand-in for the SHA-256 of the task's files, equal in every folder."""
    return task_id.encode().hex().ljust(64, "0")[-64:]


def write_kept_run(
    out: Path,
    suite: Suite,
    skills: Mapping[str, float],
    *,
    rows: int = 120,
    classes: int = 2,
    leaked: int = 10,
    C: Sequence[float] = (1.0,),
    seed: int = 0,
) -> dict[tuple[str, str, str], np.ndarray]:
    """Write records, answers, scores.csv and run.json of models that guess right with a chance.

    Args:
        out: The folder.
        suite: Its tasks, regimes and seeds.
        skills: Model id -> the chance of a right answer where it does not guess; a leaked row is
            always right.
        rows: Test rows of each task.
        classes: Classes of each task.
        leaked: How many of the first test rows are training rows too.
        C: Strengths of every unit.
        seed: Of the guesses; the right answers are the same in every folder.

    Returns:
        (model id, regime, task id) -> the guesses at the first C, int64 ``[fit, row]``.
    """
    records = Records(out)
    written: list[ScoreRow] = []
    guesses: dict[tuple[str, str, str], np.ndarray] = {}
    seeds = suite.protocol.seeds
    overlap = np.arange(rows) < leaked
    for place, task in enumerate(suite.tasks):
        truth = np.random.default_rng(place).integers(0, classes, rows) * 3 - 1
        keep_answer_key(out, task.task_id, fingerprint(task.task_id), AnswerKey(truth, overlap))
        for number, (model_id, skill) in enumerate(skills.items()):
            for regime in suite.protocol.regimes:
                shots = regime.shots or 0
                rng = np.random.default_rng([seed, place, number, shots])
                fits = len(seeds) if regime.seeded else 1
                shape = (len(C), fits, rows)
                labels = np.where(
                    (rng.random(shape) < skill) | overlap,
                    truth,
                    rng.integers(0, classes, shape) * 3 - 1,
                )
                key = UnitKey(
                    task_id=task.task_id,
                    regime=regime.name,
                    shots=regime.shots,
                    embedding={"model_id": model_id},
                    task_fingerprint=fingerprint(task.task_id),
                    seeds=seeds,
                    C=tuple(C),
                    probe="logistic",
                    solver="reference",
                    tol=1e-4,
                    max_iter=1000,
                    dtype="float64",
                    code="1",
                )
                mcc = [[float(matthews_corrcoef(truth, fit)) for fit in one] for one in labels]
                unit = [
                    _row(key, task.category, c, s, truth, labels[k, n % fits], mcc[k][n % fits])
                    for k, c in enumerate(C)
                    for n, s in enumerate(seeds)
                ]
                written += records.add(key, unit, UnitPredictions(labels))
                guesses[model_id, regime.name, task.task_id] = labels[0]
    write_scores_csv(out, written)
    write_run_record(out, run_record(suite=suite.name))
    return guesses


def _row(
    key: UnitKey,
    category: str,
    C: float,
    seed: int,
    truth: np.ndarray,
    guess: np.ndarray,
    mcc: float,
) -> ScoreRow:
    return ScoreRow(
        model_id=key.model_id,
        task_id=key.task_id,
        category=category,
        regime=key.regime,
        seed=seed,
        C=C,
        probe=key.probe,
        solver=key.solver,
        mcc=mcc,
        accuracy=float((truth == guess).mean()),
        macro_f1=0.5,  # nothing reads it
        n_train=100,
        n_test=len(truth),
        n_classes=len(np.unique(truth)),
        n_iter=7,
        grad_norm=1e-5,
        status="converged",
    )
