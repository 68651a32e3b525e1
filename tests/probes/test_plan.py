"""Which coordinates a fit is solved in, and which fits share a matrix."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax_probes import ProbeDataError, ProbeTask, fit_logistic, fit_tasks
from geneb_jax_probes.matrix.feature_space import minimise_features
from geneb_jax_probes.matrix.row_space import minimise_rows
from geneb_jax_probes.plan import Plan, make_plan
from geneb_jax_probes.problem import make_problem
from geneb_jax_probes.solvers.choice import find_solver


def _plan(rows: int, width: int, *subsets: np.ndarray | None, most_rows: int = 512) -> Plan:
    X = np.random.default_rng(0).standard_normal((rows, width))
    problem = make_problem(X, np.arange(rows) % 3, subsets or None)
    return make_plan([problem], most_rows=most_rows, platform="cpu")


@pytest.mark.parametrize(
    ("rows", "width", "most_rows", "by_rows"),
    [
        (30, 60, 512, True),  # at most half as many as features
        (31, 60, 512, False),
        (40, 600, 40, True),  # and no more than the solver takes
        (41, 600, 40, False),
        (6, 600, 0, False),  # which may be none
    ],
)
def test_few_rows_are_solved_in_their_own_coordinates(
    rows: int, width: int, most_rows: int, by_rows: bool
) -> None:
    plan = _plan(rows, width, most_rows=most_rows)
    assert (len(plan.row_groups), len(plan.feature_groups)) == ((1, 0) if by_rows else (0, 1))


@pytest.mark.parametrize("solver", ["reference", "exact"])
def test_few_shot_fits_run_the_program_of_few_rows(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fits are the same either way; only the time tells. So the programs are counted."""
    assert 500 < find_solver(solver).most_rows < 5000
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((50, 47)), np.arange(50) % 2
    few = [rng.permutation(50)[:20] for _ in range(3)]
    task = ProbeTask(X, y, X, y, few)
    ran = []
    for program in (minimise_features, minimise_rows):
        on = program.on

        def counted(platform: str, program: object = program, on: object = on) -> object:
            ran.append(program)
            return on(platform)  # type: ignore[operator]

        monkeypatch.setattr(program, "on", counted)
    fit_tasks([task], solver=solver)
    assert ran == [minimise_rows]


def test_subsets_of_a_quarter_are_masks_over_one_matrix_and_smaller_ones_are_copied() -> None:
    everything, quarter, less = None, np.arange(100), np.arange(99)
    plan = _plan(400, 8, everything, quarter, less)
    copied = [group for group in plan.feature_groups if group.rows is not None]
    shared = [group for group in plan.feature_groups if group.rows is None]
    assert [[fit.subset for fit in group.fits] for group in shared] == [[0, 1]]
    assert [[fit.subset for fit in group.fits] for group in copied] == [[2]]
    np.testing.assert_array_equal(copied[0].rows, less)


def test_masked_subsets_with_other_classes_do_not_share() -> None:
    two_classes = np.flatnonzero(np.arange(400) % 3 < 2)
    plan = _plan(400, 8, None, two_classes, np.array([0, 3, 6]))
    assert [group.fits[0].logits for group in plan.feature_groups] == [3, 1]
    assert [fit.subset for fit in plan.one_class] == [2]


def test_a_subset_without_weight_is_named() -> None:
    X, y = np.random.default_rng(2).standard_normal((40, 3)), np.arange(40) % 2
    weight = np.r_[np.zeros(10), np.ones(30)]
    with pytest.raises(ProbeDataError, match="subset 1 holds no row of positive weight"):
        fit_logistic(X, y, subsets=(None, np.arange(10)), sample_weight=weight)
