"""Tasks fitted together in one program, as on a GPU, beside the same tasks one by one.

The packed path runs on host devices where a test asks for it; its kernels have tests of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from geneb_jax_probes import FeatureRows, ProbeDataError, ProbeTask, TaskScores, fit_tasks
from geneb_jax_probes.lanes import lanes
from geneb_jax_probes.packed import resident, room, tasks
from geneb_jax_probes.packed.decide import decisions
from geneb_jax_probes.packed.room import Room
from geneb_jax_probes.packed.rounds import empty_places, rearrange, some_ticks
from tests.tolerance import Tolerance

#: Small enough that fits of the suite below wait for places, are moved, and share rounds.
SMALL = Room(columns=48, pieces=96, ticks=8)
OPTIONS: dict[str, Any] = {"C": (0.1, 1.0), "keep_predictions": True}
_WIDTH = 24
_TEST_ROWS = 150
#: Rows and classes.
_SIZES = [(20, 2), (3000, 3), (1500, 2), (300, 20), (129, 2)]


def made_task(
    matrix: np.ndarray, rows: int, classes: int, rng: np.random.Generator, shots: int = 3
) -> ProbeTask:
    """Rows of a matrix in any order and more than once; draws of a few shots, and of two rows."""
    chosen = rng.choice(len(matrix), rows + _TEST_ROWS)
    slope = rng.standard_normal((matrix.shape[1], classes)) / np.sqrt(matrix.shape[1])
    noise = rng.gumbel(size=(len(chosen), classes))
    y = np.argmax(2 * matrix[chosen] @ slope + noise, axis=1)
    y[:classes] = np.arange(classes)
    draws = [
        np.concatenate([rng.choice(np.flatnonzero(y[:rows] == k), shots) for k in range(classes)])
        for _ in range(2)
    ]
    return ProbeTask(
        FeatureRows(matrix, chosen[:rows]),
        y[:rows],
        FeatureRows(matrix, chosen[rows:]),
        y[rows:],
        [None, *draws, np.array([0, 1]), np.flatnonzero(y[:rows] == 1)[:3]],
        f"{rows} rows of {classes} classes",
    )


@pytest.fixture(scope="module")
def suite() -> list[ProbeTask]:
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((2500, _WIDTH)).astype(np.float32)
    return [made_task(matrix, *size, rng) for size in _SIZES]


@pytest.fixture(scope="module")
def packed(suite: list[ProbeTask]) -> list[TaskScores]:
    return fit_tasks(suite, packed=SMALL, **OPTIONS)


def as_arrays(task: ProbeTask, dtype: type = np.float32) -> ProbeTask:
    return ProbeTask(
        np.asarray(task.X_train).astype(dtype),
        task.y_train,
        np.asarray(task.X_test).astype(dtype),
        task.y_test,
        task.subsets,
        task.name,
    )


def assert_same(one: TaskScores, other: TaskScores, tolerance: Tolerance) -> None:
    """Steps, endings and errors; predictions, and so the scores."""
    np.testing.assert_array_equal(one.n_iter, other.n_iter, one.name)
    np.testing.assert_array_equal(one.status, other.status, one.name)
    np.testing.assert_array_equal(one.predictions, other.predictions, one.name)
    np.testing.assert_array_equal(one.n_train, other.n_train)
    np.testing.assert_array_equal(one.n_classes, other.n_classes)
    assert (one.error, one.dtype, one.solver) == (other.error, other.dtype, other.solver)
    close = tolerance("metrics", "float64")
    for name in ("mcc", "accuracy", "macro_f1"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=0, atol=close, err_msg=name
        )
    ranked = tolerance("metrics_of_fits", "float64")
    for name in ("auroc", "auprc", "brier"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=0, atol=ranked, err_msg=name
        )
    np.testing.assert_allclose(
        one.objective, other.objective, rtol=tolerance("probe_objective", "float64")
    )


def test_a_ragged_suite_is_fitted_as_task_by_task(
    suite: list[ProbeTask], packed: list[TaskScores], tolerance: Tolerance
) -> None:
    for one, other in zip(packed, fit_tasks(suite, **OPTIONS), strict=True):
        assert other.n_iter.max() < 50, "rounding steers longer paths apart: choose another suite"
        assert_same(one, other, tolerance)
    assert packed[1].error[4] is not None and "one class" in packed[1].error[4]


def test_steps_and_predictions_are_scikit_learns(
    suite: list[ProbeTask], packed: list[TaskScores], tolerance: Tolerance
) -> None:
    for task, found in zip(suite, packed, strict=True):
        wide = as_arrays(task, np.float64)
        for s, subset in enumerate(task.subsets or ()):
            rows = slice(None) if subset is None else subset
            labels = np.asarray(task.y_train)[rows]
            if len(np.unique(labels)) < 2:
                continue
            for c, strength in enumerate(OPTIONS["C"]):
                peer = LogisticRegression(C=strength, max_iter=1000)
                peer.fit(np.asarray(wide.X_train)[rows], labels)
                assert found.n_iter[s, c] == peer.n_iter_[0], (task.name, s, strength)
                values = peer.decision_function(wide.X_test)
                margin = np.abs(values) if values.ndim == 1 else np.diff(np.sort(values))[:, -1]
                telling = margin > tolerance("probe_tie", "float64")
                assert found.predictions is not None
                right = peer.predict(wide.X_test)
                np.testing.assert_array_equal(found.predictions[s, c][telling], right[telling])


def test_six_programs_serve_every_size_and_number_of_classes(
    suite: list[ProbeTask], packed: list[TaskScores], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "lanes", lambda: lanes()[:1])
    programs = (
        resident.nothing, resident.write_block, empty_places, rearrange, some_ticks, decisions
    )  # fmt: skip
    before = [program.compilations for program in programs]
    found = fit_tasks(suite, packed=SMALL, **OPTIONS)
    once = [program.compilations for program in programs]
    assert all(0 <= new - old <= 1 for new, old in zip(once, before, strict=True)), (before, once)
    fit_tasks([*suite[1:], as_arrays(suite[0])], packed=SMALL)
    assert [program.compilations for program in programs] == once
    for one, other in zip(found, packed, strict=True):  # which had two devices
        np.testing.assert_array_equal(one.n_iter, other.n_iter)
        np.testing.assert_array_equal(one.mcc, other.mcc)


@pytest.mark.sweep
def test_a_fit_does_not_depend_on_its_company(
    suite: list[ProbeTask], packed: list[TaskScores], tolerance: Tolerance
) -> None:
    (alone,) = fit_tasks(suite[3:4], packed=SMALL, **OPTIONS)
    assert_same(alone, packed[3], tolerance)


def test_limits_are_those_of_each_fit(suite: list[ProbeTask], packed: list[TaskScores]) -> None:
    found = fit_tasks(suite, packed=SMALL, **OPTIONS, max_iter=11)
    for one, other in zip(found, packed, strict=True):
        np.testing.assert_array_equal(one.n_iter, np.minimum(other.n_iter, 11))
        longer = other.n_iter > 11
        assert set(one.status[longer].tolist()) <= {"max_iter"}
        np.testing.assert_array_equal(one.objective[~longer], other.objective[~longer])
    loose = fit_tasks(suite, packed=SMALL, **OPTIONS, tol=1e-2)
    assert all((one.n_iter <= other.n_iter).all() for one, other in zip(loose, packed, strict=True))
    assert loose[2].n_iter[0, 0] < packed[2].n_iter[0, 0]
    assert loose[2].grad_norm[0, 0] > packed[2].grad_norm[0, 0]


def odd_tasks() -> list[ProbeTask]:
    """Constant columns, huge and tiny ones, one row many times, weights out of range."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((120, _WIDTH)).astype(np.float32)
    y = rng.integers(0, 2, 120)
    constant = X.copy()
    constant[:, ::3] = 4.0
    scaled = X * np.where(np.arange(_WIDTH) % 2, 1e6, 1e-6).astype(np.float32)
    repeated = np.repeat(X[:1], 120, axis=0)
    huge = np.full_like(X, 3e38) * np.sign(X)
    parts = {"constant": constant, "scaled": scaled, "repeated": repeated, "huge": huge}
    return [ProbeTask(x[:80], y[:80], x[80:], y[80:], None, name) for name, x in parts.items()]


def test_odd_features_end_as_task_by_task(tolerance: Tolerance) -> None:
    tasks_of_all = odd_tasks()
    found = fit_tasks(tasks_of_all, packed=SMALL, **OPTIONS, max_iter=40)
    others = fit_tasks(tasks_of_all, **OPTIONS, max_iter=40)
    for one, other in zip(found, others, strict=True):
        np.testing.assert_array_equal(one.status, other.status, one.name)
        np.testing.assert_array_equal(one.n_iter, other.n_iter, one.name)
        np.testing.assert_array_equal(one.predictions, other.predictions, one.name)
        assert one.error == other.error


def test_bad_tasks_fail_by_themselves_and_name_their_rows(suite: list[ProbeTask]) -> None:
    task = as_arrays(suite[4])
    holed = np.asarray(task.X_train).copy()
    holed[[3, 7], 0] = np.nan
    X_test, y = np.asarray(task.X_test), np.asarray(task.y_train)
    endless = X_test.copy()
    endless[5, 2] = np.inf
    bad = {
        "X holds NaN or infinity in row 3, 7": (holed, y, X_test, task.y_test),
        "X_test holds NaN or infinity in row 5": (task.X_train, y, endless, task.y_test),
        "one class": (task.X_train, np.ones(len(y), int), X_test, task.y_test),
        "y has 128": (task.X_train, y[1:], X_test, task.y_test),
        "y_test shape (149,)": (task.X_train, y, X_test, np.asarray(task.y_test)[1:]),
        "hold numbers and text": (task.X_train, y, X_test, ["a"] * len(X_test)),
        "23 features": (task.X_train, y, X_test[:, 1:], task.y_test),
    }
    found = fit_tasks([*(ProbeTask(*parts) for parts in bad.values()), task], packed=SMALL)
    for said, one in zip(bad, found, strict=False):
        assert said in str(one.error[0]) and np.isnan(one.mcc).all(), one.error
    assert np.isfinite(found[-1].mcc[0]).all()


def test_what_has_no_room_goes_the_other_way(
    suite: list[ProbeTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fits beyond the room, float64 features, and lists, each beside a task that is packed."""
    found: dict[int, object] = {}
    fit = tasks.fit_packed

    def watched(*arguments: Any) -> dict[int, Any]:
        found.update(fit(*arguments))
        return found

    def other_way(problems: Sequence[object], *arguments: object) -> None:
        raise KeyboardInterrupt(f"{len(problems)} task by task")

    monkeypatch.setattr("geneb_jax_probes.tasks.fit_packed", watched)
    monkeypatch.setattr("geneb_jax_probes.tasks.solve_problems", other_way)
    one = as_arrays(suite[4])
    lists = ProbeTask(np.asarray(one.X_train).tolist(), one.y_train, one.X_test, one.y_test)
    given = [suite[3], suite[4], as_arrays(suite[4], np.float64), lists]
    with pytest.raises(KeyboardInterrupt, match="3 task by task"):
        fit_tasks(given, packed=Room(columns=16, pieces=96, ticks=8), **OPTIONS)
    assert list(found) == [1]


def test_which_solvers_are_packed_in_what_precision(
    suite: list[ProbeTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(name: str) -> Callable[..., None]:
        def taken(*arguments: object) -> None:
            raise KeyboardInterrupt(name)

        return taken

    monkeypatch.setattr("geneb_jax_probes.tasks.fit_packed", path("packed"))
    monkeypatch.setattr("geneb_jax_probes.tasks.solve_problems", path("task by task"))
    for options in (
        {},  # host devices are no GPU
        {"packed": False},
        {"packed": True, "dtype": "float32"},
        {"packed": True, "solver": "reference32"},
        {"solver": "exact"},
        {"packed": True, "solver": "optax"},
    ):
        with pytest.raises(KeyboardInterrupt, match="task by task"):
            fit_tasks(suite, **options)  # type: ignore[arg-type]
    for more in ({}, {"solver": "exact"}, {"solver": "exact", "dtype": "float64"}):
        for asked in (True, SMALL):
            with pytest.raises(KeyboardInterrupt, match="packed"):
                fit_tasks(suite, packed=asked, **more)  # type: ignore[arg-type]
    on_gpu = [replace(lane, platform="gpu") for lane in lanes()]
    monkeypatch.setattr("geneb_jax_probes.tasks.lanes", lambda: on_gpu)
    with pytest.raises(KeyboardInterrupt, match="packed"):
        fit_tasks(suite)
    with pytest.raises(KeyboardInterrupt, match="task by task"):
        fit_tasks(suite, packed=False)


@pytest.mark.sweep
def test_a_small_device_holds_some_tasks_at_a_time(
    suite: list[ProbeTask],
    packed: list[TaskScores],
    monkeypatch: pytest.MonkeyPatch,
    tolerance: Tolerance,
) -> None:
    counted: list[int] = []
    hold = resident.hold_rows

    def watched(requests: Sequence[FeatureRows], lane: object) -> resident.Resident:
        counted.append(resident.distinct_rows(requests))
        return hold(requests, lane)  # type: ignore[arg-type]

    monkeypatch.setattr(tasks, "hold_rows", watched)
    small = [suite[0], suite[3], suite[4]]
    together = resident.distinct_rows([part for one in small for part in (one.X_train, one.X_test)])  # type: ignore[misc]
    budget = 4 * _WIDTH * (together // 2)
    found = fit_tasks(small, packed=SMALL, memory_bytes=budget, **OPTIONS)
    assert len(counted) >= 2 and max(counted) * 4 * _WIDTH <= budget
    for one, number in zip(found, (0, 3, 4), strict=True):
        assert_same(one, packed[number], tolerance)


def test_rows_come_to_the_device_once_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "BLOCK_ROWS", 100)
    rng = np.random.default_rng(1)
    first, second = (rng.standard_normal((n, 5)).astype(np.float32) for n in (700, 90))
    second[40] = np.nan
    requests = [
        FeatureRows(first, rng.integers(0, 600, 400)),
        FeatureRows(second, np.array([40, 3, 3, 89])),
        FeatureRows(first, np.arange(700)),  # the last block begins earlier than it would
        FeatureRows(second, np.array([5])),
    ]
    held = resident.hold_rows(requests, lanes()[0])
    X = np.asarray(held.X)
    assert resident.distinct_rows(requests) == 704 and len(X) == resident.resident_rows(704) == 768
    for one, at in zip(requests, held.positions, strict=True):
        np.testing.assert_array_equal(X[at], np.asarray(one))
    assert [bad.tolist() for bad in held.unusable] == [[], [0], [], []]


def test_a_program_that_is_refused_leaves_its_tasks_to_the_other_path(
    suite: list[ProbeTask], packed: list[TaskScores], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise jax.errors.JaxRuntimeError("INTERNAL: no tile sizes\nmore")

    monkeypatch.setattr("geneb_jax_probes.packed.tasks.run_rounds", refused)
    with pytest.warns(RuntimeWarning, match="task by task: INTERNAL: no tile sizes$"):
        (one,) = fit_tasks(suite[:1], packed=SMALL, **OPTIONS)
    np.testing.assert_array_equal(one.n_iter, packed[0].n_iter)


@pytest.mark.usefixtures("unchecked_annotations")
def test_row_numbers_that_a_matrix_does_not_have_are_refused() -> None:
    matrix = np.zeros((4, 2), np.float32)
    for rows in (np.array([4]), np.array([-1]), np.array([0.0]), np.array([[0]])):
        with pytest.raises(ProbeDataError, match="row"):
            FeatureRows(matrix, rows)
    named = FeatureRows(matrix, np.array([1, 1, 3]))
    assert (named.shape, len(named), np.asarray(named, np.float64).dtype) == ((3, 2), 3, np.float64)


def test_the_room_is_the_same_for_all_usual_numbers_of_classes() -> None:
    assert {room.most_logits_for(logits) for logits in range(1, 33)} == {32}
    assert Room().holds(500_000, 1) and not Room().holds(500_000, 20)
    assert not Room().holds(10, 300)
