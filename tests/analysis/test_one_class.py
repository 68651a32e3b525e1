"""One class for every test row, told from a row's scores alone, against scikit-learn's scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.analysis import one_class_sentences
from geneb_jax.analysis.one_class import predicts_one_class
from geneb_jax.benchmark import load_suite
from geneb_jax.results import ScoreRow

ROW = ScoreRow(
    "m", "simulated_promoters_tata", "Promoters", "full", 13, 1.0, "logistic", "reference",
    0.0, 0.5, 1 / 3, 10, 10, 2, 5, 1e-5, "converged",
)  # fmt: skip


def _scored(truth: np.ndarray, guess: np.ndarray) -> ScoreRow:
    return replace(
        ROW,
        mcc=float(matthews_corrcoef(truth, guess)),
        accuracy=float(accuracy_score(truth, guess)),
        macro_f1=float(f1_score(truth, guess, average="macro", zero_division=0)),
    )


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.fault("F13")
def test_constant_guesses_and_no_others(classes: int) -> None:
    rng = np.random.RandomState(classes)
    for rows in (3 * classes, 101, 400):
        truth = np.concatenate([np.arange(classes), rng.randint(0, classes, rows - classes)])
        for label in range(classes):
            assert predicts_one_class(_scored(truth, np.full(rows, label)))
        for _ in range(50):
            guess = rng.randint(0, classes, rows)
            assert not predicts_one_class(_scored(truth, guess)) or len(set(guess)) == 1
    balanced = np.array([0, 0, 1, 1])
    assert not predicts_one_class(_scored(balanced, np.array([0, 1, 0, 1])))  # MCC 0 by chance


def test_the_sentence_has_the_tasks_the_setting_and_the_next_step() -> None:
    suite = load_suite("demo")
    task = suite.tasks[0]
    silent = replace(ROW, task_id=task.task_id, category=task.category)
    other = suite.tasks[1]
    heard = replace(silent, task_id=other.task_id, category=other.category, mcc=0.4, macro_f1=0.7)
    (said,) = one_class_sentences([silent, heard], suite)
    assert said.startswith("m predicts one class on 1 of 2 tasks at C = 1 (")
    assert "--C 1,10,100" in said
    assert "On every task" in one_class_sentences([silent], suite)[0]
    assert not one_class_sentences([heard, replace(silent, weights="random:0")], suite)
    assert not one_class_sentences([silent], suite, models=["another"])
