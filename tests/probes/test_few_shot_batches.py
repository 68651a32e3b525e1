"""A thousand few-shot fits: few compilations, the same fits alone, on one device or two."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from geneb_jax_probes import ProbeTask, fit_tasks, lanes, scoring, solve
from geneb_jax_probes.matrix.feature_space import minimise_features
from geneb_jax_probes.matrix.preconditioners import precondition
from geneb_jax_probes.matrix.row_space import minimise_rows
from geneb_jax_probes.synthetic import decaying_features

#: All that a call of fit_tasks compiles, but for the few operations on whole arrays.
PROGRAMS = (minimise_features, minimise_rows, precondition, scoring._count)


def _tasks(count: int, width: int) -> list[ProbeTask]:
    made = []
    for number in range(count):
        X, y = decaying_features(120 + number, width, seed=number)
        rng = np.random.default_rng(number)
        draws = [
            np.concatenate([rng.choice(np.flatnonzero(y[:90] == c), shots, False) for c in (0, 1)])
            for shots in (10, 1)
            for _ in range(5)
        ]
        made.append(ProbeTask(X[:90], y[:90], X[90:], y[90:], draws, str(number)))
    return made


@pytest.mark.fault("F17", "F56")
def test_a_thousand_fits_compile_few_programs() -> None:
    tasks = _tasks(100, 48)
    before = sum(program.compilations for program in PROGRAMS)
    found = fit_tasks(tasks, keep_predictions=True)
    assert sum(program.compilations for program in PROGRAMS) - before <= 12
    assert sum(one.mcc.size for one in found) == 1000
    for task, one in list(zip(tasks, found, strict=True))[::25]:
        assert one.predictions is not None
        for s, rows in enumerate(task.subsets or ()):
            peer = LogisticRegression(max_iter=1000)
            peer.fit(task.X_train[rows].astype(np.float64), task.y_train[rows])
            assert one.n_iter[s, 0] == peer.n_iter_[0]
            np.testing.assert_array_equal(one.predictions[s, 0], peer.predict(task.X_test))


@pytest.mark.parametrize("solver", ["exact", "reference"])
def test_fits_do_not_depend_on_the_number_of_lanes(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _tasks(6, 24)
    assert len({lane.device for lane in lanes.lanes()}) == 2  # the two host devices of the tests
    spread = fit_tasks(tasks, solver=solver, C=(0.1, 10.0))
    one_lane = lanes.lanes()[:1]
    monkeypatch.setattr(lanes, "lanes", lambda: one_lane)
    monkeypatch.setattr(solve, "lanes", lambda: one_lane)
    for a, b in zip(spread, fit_tasks(tasks, solver=solver, C=(0.1, 10.0)), strict=True):
        np.testing.assert_array_equal(a.n_iter, b.n_iter)
        np.testing.assert_array_equal(a.objective, b.objective)
        np.testing.assert_array_equal(a.mcc, b.mcc)
