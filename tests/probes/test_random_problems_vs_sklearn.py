"""Random problems: both solvers against scikit-learn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from geneb_jax_probes import fit_logistic
from tests.tolerance import Tolerance

SHORT_STEPS = 50


@dataclass(frozen=True)
class Case:
    """Few shapes, so that compiling does not outweigh fitting; everything else is drawn."""

    rows: int
    width: int
    classes: int
    seed: int
    size: float
    shift: float
    decay: float
    noise: float
    C: float
    weighted: bool

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
        """Features, labels of every class at least twice, row weights or None, test features."""
        rng = np.random.default_rng(self.seed)
        scale = self.size * np.arange(1, self.width + 1) ** -self.decay
        X = rng.standard_normal((self.rows + 40, self.width))
        logits = X @ rng.standard_normal((self.width, self.classes))
        y = np.argmax(logits + self.noise * rng.gumbel(size=logits.shape), axis=1)
        y[: 2 * self.classes] = np.tile(np.arange(self.classes), 2)
        X = X * scale + self.shift * self.size
        weights = rng.integers(1, 4, self.rows).astype(float) if self.weighted else None
        return X[: self.rows], y[: self.rows], weights, X[self.rows :]


CASES = st.builds(
    Case,
    rows=st.integers(24, 200),
    width=st.sampled_from([1, 3, 24, 160]),
    classes=st.sampled_from([2, 3, 5]),
    seed=st.integers(0, 2**31),
    size=st.sampled_from([0.01, 0.3, 1.0, 5.0]),
    shift=st.sampled_from([0.0, 1.0]),
    decay=st.sampled_from([0.0, 0.5, 1.0]),
    noise=st.sampled_from([0.1, 1.0, 4.0]),
    C=st.sampled_from([1e-3, 0.1, 1.0, 10.0, 1e3]),
    weighted=st.booleans(),
)


def _objective(case: Case, fit: tuple[np.ndarray, np.ndarray]) -> float:
    X, y, weights, _ = case.arrays()
    z = X @ fit[0].T + fit[1]
    z = np.hstack([np.zeros((len(z), 1)), z]) if z.shape[1] == 1 else z
    loss = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), y]
    total = len(y) if weights is None else weights.sum()
    return float(np.average(loss, weights=weights) + np.square(fit[0]).sum() / (2 * case.C * total))


#: Few rows, many features, classes apart: centred rows have a direction of length zero.
FEW_ROWS = [
    Case(24, 160, classes, 0, size, 0.0, 0.0, 0.1, C, weighted)
    for classes, size, C, weighted in (
        (2, 1.0, 10.0, False),
        (2, 0.3, 1e3, False),
        (2, 0.3, 10.0, True),
        (3, 1.0, 1e3, False),
    )
]


#: Three classes that come apart completely: the Hessian where they do is nothing like the first.
APART = [Case(24, 24, 3, seed, size, 0.0, 0.0, 0.1, 1e3, False) for seed, size in
         ((0, 0.3), (0, 5.0), (3, 5.0))]  # fmt: skip


@pytest.mark.parametrize("case", FEW_ROWS + APART, ids=str)
@pytest.mark.fault("F15", "F17")
def test_classes_that_come_apart(case: Case, tolerance: Tolerance) -> None:
    _check(case, tolerance)


def _check(case: Case, tolerance: Tolerance) -> None:
    X, y, weights, X_test = case.arrays()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn at its limits is still the peer
        stock = LogisticRegression(C=case.C, max_iter=1000).fit(X, y, weights)
        best = LogisticRegression(C=case.C, tol=1e-10, max_iter=100_000).fit(X, y, weights)
    given_alike = {"C": case.C, "sample_weight": weights}
    ours = fit_logistic(X, y, solver="reference", **given_alike)
    if stock.n_iter_[0] <= SHORT_STEPS:
        assert ours.n_iter[0, 0] == stock.n_iter_[0]
        z = ours.decision_function(X_test)[0, 0]
        top = np.sort(np.stack([z, np.zeros_like(z)], 1) if z.ndim == 1 else z, axis=1)
        tied = top[:, -1] - top[:, -2] <= tolerance("probe_tie", "float64")
        differ = ours.predict(X_test)[0, 0] != stock.predict(X_test)
        assert not (differ & ~tied).any()
    lowest = _objective(case, (best.coef_, best.intercept_))
    for dtype in ("float32", "float64"):
        exact = fit_logistic(X, y, solver="exact", dtype=dtype, **given_alike)
        fit = exact.coef[0, 0].astype(np.float64), exact.intercept[0, 0].astype(np.float64)
        assert exact.converged.all(), exact.status
        assert _objective(case, fit) <= lowest * (1 + tolerance("probe_objective", dtype))


@settings(
    max_examples=12, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(case=CASES)
@pytest.mark.fault("F17")
def test_random_problems(case: Case, tolerance: Tolerance) -> None:
    _check(case, tolerance)


@pytest.mark.sweep
@pytest.mark.timeout(1500)
@settings(
    max_examples=500, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(case=CASES)
def test_five_hundred_random_problems(case: Case, tolerance: Tolerance) -> None:
    _check(case, tolerance)
