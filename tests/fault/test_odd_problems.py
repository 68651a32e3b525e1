"""F13, F16, F18: problems with little in them, limits of no steps, classes of one side only."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax_probes import ProbeTask, fit_tasks
from tests.tolerance import Tolerance


def scored_alike(task: ProbeTask, tolerance: Tolerance, *, max_iter: int = 1000) -> str:
    """Predictions, scores and steps are scikit-learn's; how the fit ended."""
    (found,) = fit_tasks([task], keep_predictions=True, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that is stopped on purpose
        peer = LogisticRegression(max_iter=max_iter).fit(task.X_train, task.y_train)
    guess = peer.predict(task.X_test)
    assert found.error == (None,) and found.predictions is not None
    np.testing.assert_array_equal(found.predictions[0, 0], guess)
    for score, value in (
        (found.mcc, matthews_corrcoef(task.y_test, guess)),
        (found.accuracy, accuracy_score(task.y_test, guess)),
        (found.macro_f1, f1_score(task.y_test, guess, average="macro", zero_division=0.0)),
    ):
        assert abs(score[0, 0] - value) <= tolerance("metrics", "float64")
    assert found.n_iter[0, 0] == peer.n_iter_[0]
    return str(found.status[0, 0])


def drawn(labels: list[int], rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    y = np.array(labels)[np.arange(rows) % len(labels)]
    return random.standard_normal((rows, 5)) + y[:, None] * 0.5, y


@pytest.mark.fault("F18")
@pytest.mark.parametrize(
    ("train", "test"), [([0, 1], [0, 1, 2]), ([0, 1, 2], [0, 1]), ([0, 2, 7], [2, 5])], ids=str
)
def test_f18_classes_of_one_side_are_scored_as_by_scikit_learn(
    train: list[int], test: list[int], tolerance: Tolerance
) -> None:
    task = ProbeTask(*drawn(train, 60, 0), *drawn(test, 40, 1))
    assert scored_alike(task, tolerance) == "converged"


@pytest.mark.fault("F13")
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_f13_rows_that_are_all_equal_have_scikit_learns_score(
    value: float, tolerance: Tolerance
) -> None:
    y = np.arange(60) % 3 // 2  # twice as many of one class
    task = ProbeTask(np.full((60, 4), value), y, np.full((30, 4), value), y[:30])
    scored_alike(task, tolerance)
    (found,) = fit_tasks([task])
    assert found.mcc.item() == 0.0


@pytest.mark.fault("F16")
@pytest.mark.parametrize("most", [1, 2, 5])
def test_f16_a_fit_that_is_stopped_has_the_same_steps_and_says_so(
    most: int, tolerance: Tolerance
) -> None:
    task = ProbeTask(*drawn([0, 1, 2], 90, 2), *drawn([0, 1, 2], 40, 3))
    assert scored_alike(task, tolerance, max_iter=most) == "max_iter"
