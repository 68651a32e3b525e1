"""AUROC, AUPRC and Brier score against scikit-learn's, ties, absent classes and all."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.preprocessing import label_binarize

from geneb_jax_probes import ProbeTask, fit_logistic, fit_mlp_tasks, fit_tasks
from geneb_jax_probes.probability_scores import probability_scores

NAMES = ("auroc", "auprc", "brier")


def _expected(truth: np.ndarray, decision: np.ndarray, classes: int) -> tuple[float, ...]:
    """scikit-learn on decision values ``[row, logit]``, for any number of classes."""
    if decision.shape[1] == 1:
        value = decision[:, 0]
        return (
            roc_auc_score(truth, value),
            average_precision_score(truth, value),
            brier_score_loss(truth, expit(value)),
        )
    share = softmax(decision, axis=1)
    kept = [k for k in range(classes) if 0 < (truth == k).sum() < len(truth)]
    indicator = label_binarize(truth, classes=range(classes))
    if len(kept) == classes > 2:
        auroc = roc_auc_score(truth, share, multi_class="ovr", average="macro")
        auprc = average_precision_score(indicator, share, average="macro")
    else:
        auroc = np.mean([roc_auc_score(indicator[:, k], share[:, k]) for k in kept])
        auprc = np.mean([average_precision_score(indicator[:, k], share[:, k]) for k in kept])
    brier = brier_score_loss(truth, share, labels=list(range(classes)))
    return auroc, auprc, brier


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize(("classes", "rows"), [(2, 2), (2, 301), (3, 200), (7, 500)])
def test_equal_to_scikit_learn(classes: int, rows: int, digits: int | None, tolerance: Any) -> None:
    rng = np.random.RandomState(rows + classes)
    truth = np.arange(rows) % classes
    rng.shuffle(truth)
    logits = rng.randn(9, rows, 1 if classes == 2 else classes)
    if digits is not None:  # many equal values
        logits = logits.round(digits) + 0.0
    found = probability_scores(truth, logits, np.arange(classes), classes)
    for fit, decision in enumerate(logits):
        for name, expected in zip(NAMES, _expected(truth, decision, classes), strict=True):
            got = getattr(found, name)[fit]
            assert abs(got - expected) <= tolerance("metrics", "float64"), (name, fit)


@pytest.mark.fault("F18")
def test_a_class_without_test_rows_is_no_part_of_the_mean(tolerance: Any) -> None:
    rng = np.random.RandomState(0)
    truth = rng.choice([0, 2, 3], 100)
    logits = rng.randn(4, 100, 4)
    found = probability_scores(truth, logits, np.arange(4), 4)
    for fit, decision in enumerate(logits):
        for name, expected in zip(NAMES, _expected(truth, decision, 4), strict=True):
            assert abs(getattr(found, name)[fit] - expected) <= tolerance("metrics", "float64")


@pytest.mark.fault("F18")
def test_a_class_that_no_fit_knows_has_probability_zero(tolerance: Any) -> None:
    rng = np.random.RandomState(1)
    truth = np.arange(90) % 3
    logits = rng.randn(2, 90, 1)
    found = probability_scores(truth, logits, np.array([0, 2]), 3)
    for fit in range(2):
        share = np.zeros((90, 3))
        share[:, 0], share[:, 2] = expit(-logits[fit, :, 0]), expit(logits[fit, :, 0])
        expected = roc_auc_score(truth, share, multi_class="ovr", average="macro")
        assert abs(found.auroc[fit] - expected) <= tolerance("metrics", "float64")
        brier = brier_score_loss(truth, share)
        assert abs(found.brier[fit] - brier) <= tolerance("metrics", "float64")


@pytest.mark.parametrize("classes", [2, 3])
def test_a_test_set_of_one_class_has_no_curve(classes: int) -> None:
    logits = np.random.RandomState(2).randn(2, 5, 1 if classes == 2 else classes)
    found = probability_scores(np.ones(5, np.int64), logits, np.arange(classes), classes)
    assert np.isnan(found.auroc).all() and np.isnan(found.auprc).all()
    assert np.isfinite(found.brier).all()


def test_fits_that_left_the_range_raise_no_warning() -> None:
    logits = np.array([[[np.nan], [1.0], [np.inf]], [[-np.inf], [np.inf], [0.0]]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probability_scores(np.array([0, 1, 1]), logits, np.arange(2), 2)


@pytest.mark.parametrize("solver", ["reference", "reference32", "exact"])
@pytest.mark.parametrize("classes", [2, 4])
def test_tasks_are_scored_by_their_own_decision_values(
    solver: str, classes: int, tolerance: Any
) -> None:
    rng = np.random.RandomState(classes)
    X = rng.randn(160, 6).astype(np.float32)
    y = (np.arange(160) % classes) * 10
    X[:, 0] += y / 10
    subsets = [None, np.arange(40)]
    task = ProbeTask(X[:80], y[:80], X[80:], y[80:], subsets)
    (found,) = fit_tasks([task], C=(0.1, 10.0), solver=solver)
    fits = fit_logistic(X[:80], y[:80], C=(0.1, 10.0), solver=solver, subsets=subsets)
    decided = fits.decision_function(X[80:])
    for s in range(2):
        for c in range(2):
            decision = decided[s, c].reshape(80, -1).astype(np.float64)
            expected = _expected(y[80:] // 10, decision, classes)
            for name, value in zip(NAMES, expected, strict=True):
                error = abs(getattr(found, name)[s, c] - value)
                assert error <= tolerance("metrics_of_fits", "float64"), (name, s, c)


def test_an_mlp_is_scored_too() -> None:
    rng = np.random.RandomState(3)
    X = rng.randn(200, 4).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    (found,) = fit_mlp_tasks([ProbeTask(X[:150], y[:150], X[150:], y[150:])], seeds=[13])
    assert found.auroc is not None and found.auroc[0, 0] > 0.9
    assert found.auprc is not None and found.auprc[0, 0] > 0.9
    assert found.brier is not None and found.brier[0, 0] < 0.15


def test_a_fit_without_a_score_has_none_of_these() -> None:
    X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    task = ProbeTask(X, y, X, y, [None, np.array([0, 2])])
    (found,) = fit_tasks([task])
    for name in NAMES:
        values = getattr(found, name)
        assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()
