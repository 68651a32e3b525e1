"""The MLP probe against scikit-learn's MLPClassifier with the same recipe."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.metrics import matthews_corrcoef
from sklearn.neural_network import MLPClassifier

from geneb_jax_probes import MLPRecipe, ProbeTask, fit_mlp_tasks, fit_tasks


def _rings(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that no line separates: inside and outside a circle, in four dimensions."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 4))
    return X, (np.square(X[:, :2]).sum(1) > 1.4).astype(int)


def test_learns_what_scikit_learns_mlp_learns_and_a_line_cannot() -> None:
    X, y = _rings(1200, 0)
    task = ProbeTask(X[:800], y[:800], X[800:], y[800:], None, "rings")
    recipe = MLPRecipe(hidden=32, learning_rate=0.01)
    ours = fit_mlp_tasks([task], seeds=[0], recipe=recipe)[0].mcc[0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = MLPClassifier((32,), learning_rate_init=0.01, early_stopping=True, random_state=0)
        peer.fit(task.X_train, task.y_train)
    theirs = matthews_corrcoef(task.y_test, peer.predict(task.X_test))
    line = fit_tasks([task])[0].mcc[0, 0]
    assert ours > theirs - 0.08
    assert ours > line + 0.4


def test_a_fit_depends_on_its_rows_and_seed_and_not_on_its_company() -> None:
    X, y = _rings(400, 1)
    few = np.arange(40)
    recipe = MLPRecipe(hidden=8, max_epochs=15)

    def probabilities(subsets: tuple[np.ndarray | None, ...], seeds: list[int]) -> np.ndarray:
        task = ProbeTask(X[:300], y[:300], X[300:], y[300:], subsets, "rings")
        return fit_mlp_tasks([task], seeds=seeds, recipe=recipe)[0].objective

    together = probabilities((None, few, few), [3, 3, 4])
    np.testing.assert_array_equal(together[1], probabilities((few,), [3])[0])
    assert together[1] != together[2]


def test_a_task_depends_on_no_other_task_of_the_call() -> None:
    recipe = MLPRecipe(hidden=8, max_epochs=12)
    tasks = []
    for rows in (420, 90, 700):
        X, y = _rings(rows, rows)
        tasks.append(ProbeTask(X[:-50], y[:-50], X[-50:], y[-50:], (None, None), f"{rows}"))
    for task, one in zip(tasks, fit_mlp_tasks(tasks, seeds=[3, 4], recipe=recipe), strict=True):
        (alone,) = fit_mlp_tasks([task], seeds=[3, 4], recipe=recipe)
        assert one.name == task.name
        np.testing.assert_array_equal(one.objective, alone.objective)
        np.testing.assert_array_equal(one.mcc, alone.mcc)


def test_a_bad_task_fails_by_itself() -> None:
    X, y = _rings(60, 2)
    good = ProbeTask(X[:40], y[:40], X[40:], y[40:], None, "good")
    bad = ProbeTask(X[:40], np.zeros(40), X[40:], y[40:], None, "bad")
    found = fit_mlp_tasks([bad, good], seeds=[0], recipe=MLPRecipe(hidden=4, max_epochs=2))
    assert "one class" in (found[0].error[0] or "")
    assert found[1].error == (None,)
    assert np.isfinite(found[1].mcc).all()
