"""fit_tasks and fit_logistic against scikit-learn, one fit at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax_probes import ProbeTask, fit_logistic, fit_tasks


def _task(classes: int, seed: int = 0) -> ProbeTask:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((240, 12))
    logits = X @ rng.standard_normal((12, classes)) + rng.gumbel(size=(240, classes))
    y = np.array([f"class {k}" for k in np.argmax(logits, axis=1)])
    few = np.concatenate([rng.choice(np.flatnonzero(y[:160] == c), 4) for c in np.unique(y)])
    return ProbeTask(X[:160], y[:160], X[160:], y[160:], (None, few), f"{classes} classes")


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.fault("F55")
def test_reference_steps_predictions_and_scores_are_scikit_learns(
    classes: int, tolerance: object
) -> None:
    task = _task(classes)
    (found,) = fit_tasks([task], C=(0.3, 1.0), keep_predictions=True)
    assert found.error == (None, None)
    for s, rows in enumerate(task.subsets or ()):
        rows = slice(None) if rows is None else rows
        for c, strength in enumerate((0.3, 1.0)):
            peer = LogisticRegression(C=strength, max_iter=1000)
            peer.fit(task.X_train[rows], task.y_train[rows])
            guess = peer.predict(task.X_test)
            assert found.n_iter[s, c] == peer.n_iter_[0]
            assert found.predictions is not None
            np.testing.assert_array_equal(found.predictions[s, c], guess)
            for ours, theirs in (
                (found.mcc, matthews_corrcoef(task.y_test, guess)),
                (found.accuracy, accuracy_score(task.y_test, guess)),
                (found.macro_f1, f1_score(task.y_test, guess, average="macro")),
            ):
                assert abs(ours[s, c] - theirs) <= tolerance("metrics", "float64")  # type: ignore[operator]


@pytest.mark.fault("F20")
def test_a_bad_task_fails_by_itself() -> None:
    good = _task(2)
    holed = good.X_train.copy()
    holed[[3, 7], 0] = np.nan
    bad = ProbeTask(holed, good.y_train, good.X_test, good.y_test, good.subsets, "holed")
    constant = ProbeTask(good.X_train, ["a"] * 160, good.X_test, good.y_test, None, "constant")
    found = fit_tasks([bad, good, constant])
    assert "row 3, 7" in (found[0].error[0] or "")
    assert found[1].error == (None, None)
    assert np.isfinite(found[1].mcc).all()
    assert "one class" in (found[2].error[0] or "")


@pytest.mark.parametrize("classes", [2, 4])
def test_exact_objective_is_not_above_scikit_learns(classes: int) -> None:
    task = _task(classes, seed=1)
    strengths = (0.01, 1.0, 100.0)
    fits = fit_logistic(task.X_train, task.y_train, C=strengths)
    for c, strength in enumerate(strengths):
        peer = LogisticRegression(C=strength, tol=1e-10, max_iter=100_000)
        peer.fit(task.X_train, task.y_train)
        np.testing.assert_array_equal(fits.predict(task.X_test)[0, c], peer.predict(task.X_test))
