"""The exact solver's fits of many tasks in one program, beside the same fits one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve
from sklearn.linear_model import LogisticRegression

from geneb_jax_probes import ProbeTask, TaskScores, fit_tasks
from geneb_jax_probes.lanes import lanes
from geneb_jax_probes.packed import factors, framing, resident, rounds, tasks
from geneb_jax_probes.packed.decide import decisions
from geneb_jax_probes.packed.factors import Bend, factor_size, make_factors, no_factors
from geneb_jax_probes.packed.room import Room
from tests.probes.test_packed import as_arrays, made_task
from tests.tolerance import Tolerance, relative_error

SMALL = Room(columns=40, pieces=96, ticks=8, framed_ticks=6)
OPTIONS: dict[str, Any] = {"solver": "exact", "C": (0.1, 10.0), "keep_predictions": True}
_WIDTH = 24
#: Rows and classes: by features, in several rounds; few rows are solved by rows beside them.
_SIZES = [(60, 2), (2000, 3), (900, 2), (300, 12)]


@pytest.fixture(scope="module")
def suite() -> list[ProbeTask]:
    """Features far from zero: a centre is needed for their digits."""
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((2500, _WIDTH)).astype(np.float32)
    tasks_of_it = [made_task(matrix, *size, rng) for size in _SIZES]
    matrix += 100
    return tasks_of_it


@pytest.fixture(scope="module")
def packed(suite: list[ProbeTask]) -> list[TaskScores]:
    return fit_tasks(suite, packed=SMALL, **OPTIONS)


@pytest.fixture
def no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not settled together is an error."""

    def other_way(problems: Sequence[object], *arguments: object) -> None:
        raise RuntimeError(f"{len(problems)} problems by themselves")

    monkeypatch.setattr("geneb_jax_probes.tasks.solve_problems", other_way)


def assert_same(one: TaskScores, other: TaskScores, tolerance: Tolerance) -> None:
    """Endings, predictions, scores; objectives to the promise of the precision."""
    np.testing.assert_array_equal(one.status, other.status, one.name)
    np.testing.assert_array_equal(one.predictions, other.predictions, one.name)
    assert (one.error, one.dtype, one.solver) == (other.error, other.dtype, other.solver)
    close = tolerance("probe_objective", one.dtype)
    np.testing.assert_allclose(one.objective, other.objective, rtol=close, err_msg=one.name)
    ranked = tolerance("packed_exact_ranks", one.dtype)
    for name in ("auroc", "auprc", "brier"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=0, atol=ranked, err_msg=name
        )


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.sweep)])
def test_a_ragged_suite_ends_as_task_by_task(
    dtype: str, suite: list[ProbeTask], tolerance: Tolerance
) -> None:
    found = fit_tasks(suite, packed=SMALL, dtype=dtype, **OPTIONS)
    for one, other in zip(found, fit_tasks(suite, dtype=dtype, **OPTIONS), strict=True):
        assert set(other.status[0].tolist()) == {"converged"}
        assert_same(one, other, tolerance)


@pytest.mark.usefixtures("no_other_way")
def test_the_minimum_is_scikit_learns(suite: list[ProbeTask], tolerance: Tolerance) -> None:
    whole = [replace(task, subsets=None) for task in suite]
    found = fit_tasks(whole, packed=SMALL, dtype="float64", **OPTIONS)
    for one, task in zip(found, suite, strict=True):
        wide, labels = as_arrays(task, np.float64), np.asarray(task.y_train)
        centred = np.asarray(wide.X_train) - 100
        for c, strength in enumerate(OPTIONS["C"]):
            peer = LogisticRegression(C=strength, tol=1e-10, solver="newton-cholesky")
            peer.fit(centred, labels)
            z = peer.decision_function(centred)
            z = np.column_stack([0 * z, z]) if z.ndim == 1 else z
            losses = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), labels]
            pull = np.square(peer.coef_).sum() / (2 * strength * len(z))
            excess = one.objective[0, c] / (losses.mean() + pull) - 1
            assert abs(excess) < tolerance("probe_objective", "float64"), (task.name, strength)


def test_one_program_of_each_kind_serves_every_size_and_number_of_classes(
    suite: list[ProbeTask], packed: list[TaskScores], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "lanes", lambda: lanes()[:1])
    programs = (
        *(resident.nothing, resident.write_block, rounds.empty_places, rounds.rearrange),
        *(rounds.some_ticks, factors.add_gram, factors.write_factors, decisions),
    )
    before = [program.compilations for program in programs]
    found = fit_tasks(suite, packed=SMALL, **OPTIONS)
    once = [program.compilations for program in programs]
    # Where an argument that is given up comes from another program, JAX keeps it twice.
    assert all(0 <= new - old <= 2 for new, old in zip(once, before, strict=True)), (before, once)
    fit_tasks(suite[::-1], packed=SMALL, solver="exact")
    assert [program.compilations for program in programs] == once
    for one, other in zip(found, packed, strict=True):  # which had two devices
        np.testing.assert_array_equal(one.n_iter, other.n_iter)
        np.testing.assert_array_equal(one.mcc, other.mcc)


def separated(rows: int, width: int, seed: int) -> ProbeTask:
    """Classes that come apart: rows grow confident as C grows, and curve ever less."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, width)).astype(np.float32)
    X *= np.geomspace(1, 30, width).astype(np.float32)
    y = (X @ rng.standard_normal(width) + rng.standard_normal(rows) > 0).astype(int)
    half = rows // 2
    return ProbeTask(X[:half], y[:half], X[half:], y[half:], None, f"separated {seed}")


def test_a_long_fit_gets_a_factor_where_it_has_come_to(
    monkeypatch: pytest.MonkeyPatch, tolerance: Tolerance
) -> None:
    renewed: list[int] = []
    renew = framing.Framing.renew

    def watched(self: framing.Framing, seats: Sequence[Any], *rest: Any, **more: Any) -> None:
        renewed.extend(len(seat.fit.codes) for seat, _ in seats)
        renew(self, seats, *rest, **more)

    monkeypatch.setattr(framing.Framing, "renew", watched)
    options = OPTIONS | {"C": (1.0, 30.0)}
    suite = [separated(500, 16, seed) for seed in range(2)]
    found = fit_tasks(suite, packed=SMALL, **options)
    assert renewed, "choose another problem"
    for one, other in zip(found, fit_tasks(suite, **options), strict=True):
        assert_same(one, other, tolerance)
        assert (one.n_iter <= 2 * other.n_iter + 8).all()


def test_ends_that_do_not_stand_are_found_by_themselves(
    monkeypatch: pytest.MonkeyPatch, tolerance: Tolerance
) -> None:
    """Confident rows, columns of uneven scales, a limit of steps: each says what it says alone."""
    rng = np.random.default_rng(2)
    easy = rng.standard_normal((160, 8)).astype(np.float32)
    y = (easy[:, 0] > 0).astype(int)
    easy[:, 0] += 40 * y
    uneven = easy * np.geomspace(1e-5, 1e5, 8).astype(np.float32)
    tiny = (1e-12 * easy).astype(np.float32)
    given = [
        ProbeTask(X[:100], y[:100], X[100:], y[100:], None, name)
        for name, X in {"easy": easy, "uneven": uneven, "tiny": tiny}.items()
    ]
    options = OPTIONS | {"C": (0.1, 1000.0)}
    for limit in (1000, 3):
        found = fit_tasks(given, packed=SMALL, max_iter=limit, **options)
        for one, other in zip(found, fit_tasks(given, max_iter=limit, **options), strict=True):
            assert_same(one, other, tolerance)
            np.testing.assert_array_equal(one.n_iter[:, 1], other.n_iter[:, 1], one.name)


def test_fits_wait_for_factors_where_a_device_has_room_for_few(
    suite: list[ProbeTask], packed: list[TaskScores], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "places_for", lambda *_: 3)
    found = fit_tasks(suite, packed=SMALL, **OPTIONS)
    for one, other in zip(found, packed, strict=True):
        np.testing.assert_array_equal(one.n_iter, other.n_iter)
        np.testing.assert_array_equal(one.objective, other.objective)
    assert framing.places_for(2560, Room(), 80 << 30) == 512
    assert framing.places_for(2560, Room(), 1 << 29) == 0


def test_factors_are_of_the_hessian(tolerance: Tolerance) -> None:
    rng = np.random.default_rng(1)
    X = (3 + rng.standard_normal((700, 5))).astype(np.float32)
    lane = lanes()[0]
    with lane.precisely():
        table = no_factors(lane.put(np.int32(0)), count=4, size=factor_size(5))
        grams = no_factors(lane.put(np.int32(0)), count=factors.AT_ONCE, size=factor_size(5))
        centre, rows = np.full(5, 3, np.float32), rng.permutation(700)[:650].astype(np.int32)
        weights = rng.random(650)
        bends = [
            Bend(rows, weights, centre, 0.2, penalty, place, anew=False, key=(0, 0, -1))
            for penalty, place in ((0.5, 2), (3.0, 0))
        ]
        hopeless = Bend(rows, np.full(650, np.nan), centre, 1.0, 1.0, 1, anew=False, key=(1, 0, -1))
        table, grams = make_factors(table, grams, lane.put(X), [*bends, hopeless], lane)
        kept = Bend(rows, np.full(650, np.nan), centre, 1.0, 1.0, 2, anew=True, key=(1, 0, 0))
        table, _ = make_factors(table, grams, lane.put(X), [kept], lane)
    Z = np.column_stack([X[rows] - centre, np.ones(650)]).astype(np.float64)
    gram = 0.2 * (Z * weights[:, None]).T @ Z
    for bend in bends:
        H = gram + np.diag([bend.penalty] * 5 + [0.0])
        F = np.asarray(table)[bend.place]
        inverse = (F.T @ F)[:6, :6]
        right = solve(H, np.eye(6), assume_a="pos")
        assert relative_error(inverse, right) < tolerance("factor_products", "float32")
    np.testing.assert_array_equal(np.asarray(table)[1], np.eye(len(table[1])))
