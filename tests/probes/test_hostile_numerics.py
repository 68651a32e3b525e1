"""Features at the edge of arithmetic: a status, never a NaN score; what cannot be is named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import threadpoolctl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from geneb_jax_probes import Ending, ProbeDataError, ProbeTask, fit_logistic, fit_tasks
from geneb_jax_probes.blas_threads import one_blas_thread
from tests.tolerance import Tolerance

SOLVERS = ("exact", "reference")


def _clouds(rows: int = 60, width: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    return rng.standard_normal((rows, width)) + y[:, None] * 0.7, y


def _separable() -> tuple[np.ndarray, np.ndarray, float]:
    X, y = _clouds()
    return X + 8.0 * y[:, None], y, 1e6


def _constant_columns() -> tuple[np.ndarray, np.ndarray, float]:
    X, y = _clouds()
    X[:, 1], X[:, 3] = 0.0, 1e6
    return X, y, 1.0


def _duplicate_rows() -> tuple[np.ndarray, np.ndarray, float]:
    X, y = _clouds(4)
    return np.tile(X, (20, 1)), np.tile(y, 20), 1.0


def _scaled(size: float) -> tuple[np.ndarray, np.ndarray, float]:
    X, y = _clouds()
    return X * size, y, 1.0


def _one_feature() -> tuple[np.ndarray, np.ndarray, float]:
    X, y = _clouds(width=1)
    return X, y, 1.0


def _row_a_class() -> tuple[np.ndarray, np.ndarray, float]:
    X, y = _clouds(2)
    return X, y, 1.0


def _many_classes() -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(5)
    y = np.arange(600) % 200
    return rng.standard_normal((600, 8)) + rng.standard_normal((200, 8))[y], y, 1.0


CASES = {
    "separable, C 1e6": _separable(),
    "constant columns": _constant_columns(),
    "duplicate rows": _duplicate_rows(),
    "size 1e-30": _scaled(1e-30),
    "size 1e30": _scaled(1e30),
    "one feature": _one_feature(),
    "one row a class": _row_a_class(),
    "200 classes": _many_classes(),
}


@pytest.mark.parametrize(
    ("solver", "dtype"),
    [
        ("exact", "float32"),
        ("reference", "float64"),
        pytest.param("exact", "float64", marks=pytest.mark.sweep),
        pytest.param("reference", "float32", marks=pytest.mark.sweep),
    ],
)
@pytest.mark.fault("F13", "F14", "F15")
def test_every_score_is_finite_or_says_why(solver: str, dtype: str) -> None:
    tasks = [
        ProbeTask(X.astype(dtype), y, X.astype(dtype), y, None, name)
        for name, (X, y, _) in CASES.items()
    ]
    for C in (1.0, 1e6):
        for found in fit_tasks(tasks, C=C, solver=solver, dtype=dtype):
            assert found.status[0, 0] in list(Ending), found.name
            if found.error[0] is None:
                assert np.isfinite([found.mcc, found.accuracy, found.macro_f1]).all(), found.name
            else:
                # Squares of 1e30 leave float32; only the reference works on features as they are.
                assert (solver, found.name) == ("reference", "size 1e30"), found.error


@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in ("size 1e-30", "size 1e30")]
)
@pytest.mark.fault("F13", "F15")
def test_the_optimum_is_reached_there_too(name: str, tolerance: Tolerance) -> None:
    X, y, C = CASES[name]
    found = fit_logistic(X, y, C=C)
    peer = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(X, y)
    codes = np.unique(y, return_inverse=True)[1]
    chance = peer.predict_proba(X)[np.arange(len(y)), codes]
    lowest = -np.log(chance).mean() + np.square(peer.coef_).sum() / (2 * C * len(y))
    assert found.objective[0, 0] <= lowest * (1 + tolerance("probe_objective", "float64")) + 1e-15
    assert found.converged.all()


@pytest.mark.parametrize("classes", [2, 3])
def test_rows_that_a_sample_misses(classes: int, tolerance: Tolerance) -> None:
    """Five features and 6000 rows: one block is sampled, whose rows are soon beyond doubt."""
    rng = np.random.default_rng(classes)
    X = rng.standard_normal((6000, 5))
    logits = X @ rng.standard_normal((5, classes)) * 20 + rng.gumbel(size=(6000, classes))
    y = np.argmax(logits, axis=1)
    X[:1024] *= 50
    y[:1024] = np.argmax(logits[:1024] * 1e3, axis=1)
    peer = LogisticRegression(C=1e4, solver="newton-cholesky", tol=1e-10).fit(X, y)
    chance = peer.predict_proba(X)[np.arange(6000), y]
    lowest = -np.log(chance).mean() + np.square(peer.coef_).sum() / (2e4 * 6000)
    for dtype in ("float32", "float64"):
        found = fit_logistic(X, y, C=1e4, dtype=dtype)
        assert found.converged.all()
        assert found.objective[0, 0] <= lowest * (1 + tolerance("probe_objective", dtype))


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.fault("F14")
def test_scale_moves_into_C(size: float, tolerance: Tolerance) -> None:
    """Features times s with C / s^2 are the same problem; scikit-learn solves it at s = 1."""
    X, y = _clouds()
    for dtype in ("float32", "float64"):
        scaled = (X.astype(dtype) * np.asarray(size, dtype)).astype(dtype)
        ours = fit_logistic(scaled, y, C=1.0 / size**2, dtype=dtype).predict(scaled)[0, 0]
        peer = LogisticRegression(C=1.0, tol=1e-10).fit(X, y).predict(X)
        assert matthews_corrcoef(peer, ours) == 1.0, dtype


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "labels", [["b", "a"], [7, 1000], [-3, -1], ["2", "10"], [True, False]], ids=str
)
@pytest.mark.fault("F19")
def test_labels_of_any_kind(solver: str, labels: list[object]) -> None:
    X, codes = _clouds()
    y = np.array(labels)[codes]
    found = fit_logistic(X, y, solver=solver)
    peer = LogisticRegression(tol=1e-4 if solver == "reference" else 1e-10).fit(X, y)
    np.testing.assert_array_equal(found.classes_, peer.classes_)
    np.testing.assert_array_equal(found.predict(X)[0, 0], peer.predict(X))


def _refused() -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    X, y = _clouds()
    holed, endless = X.copy(), X.copy()
    holed[[3, 7], 2] = np.nan
    endless[5, 0] = -np.inf
    yield holed, y, "row 3, 7"
    yield endless, y, "row 5"
    yield X, np.zeros(len(y)), "one class"
    yield X[:1], y[:1], "one class"
    yield X[:0], y[:0], "0 rows"
    yield X[:, :0], y, "0 features"
    yield X[0], y, "two dimensions"
    yield X, y[:-1], "60 rows and y has 59"
    yield X.astype(complex), y, "Complex"


@pytest.mark.parametrize(("X", "y", "said"), list(_refused()))
@pytest.mark.fault("F20")
def test_what_cannot_be_fitted_is_named(X: np.ndarray, y: np.ndarray, said: str) -> None:
    with pytest.raises(ProbeDataError, match=said):
        fit_logistic(X, y)


def test_blas_gets_its_threads_back() -> None:
    def counts() -> list[int]:
        pools = threadpoolctl.threadpool_info()
        return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]

    X, y = _clouds()
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = counts()
        with one_blas_thread(), one_blas_thread():
            assert set(counts()) == {1}
        fit_logistic(X, y)
        assert counts() == before
