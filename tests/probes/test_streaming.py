"""Features larger than the memory plan: streamed in blocks, same fits as scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from geneb_jax_probes import ProbeTask, fit_logistic, fit_tasks
from tests.tolerance import Tolerance

ROWS = 5000


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((ROWS, 10))
    logits = X @ rng.standard_normal((10, 3)) + rng.gumbel(size=(ROWS, 3))
    return X + 3.0, np.argmax(logits, axis=1)


#: Three blocks of 1024 rows of ten float64 features; the matrix takes five such blocks.
BUDGET = 3 * 1024 * 10 * 8


@pytest.mark.parametrize("classes", [2, 3])
def test_streamed_optimum_is_scikit_learns(
    data: tuple[np.ndarray, np.ndarray], classes: int, tolerance: Tolerance
) -> None:
    X, y = data[0], np.minimum(data[1], classes - 1)
    half = np.arange(0, ROWS, 2)
    fits = fit_logistic(X, y, C=(0.1, 10.0), subsets=(None, half), memory_bytes=BUDGET)
    for s, rows in enumerate((slice(None), half)):
        for c, C in enumerate((0.1, 10.0)):
            peer = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10).fit(
                X[rows], y[rows]
            )
            np.testing.assert_allclose(
                fits.predict_proba(X)[s, c],
                peer.predict_proba(X),
                rtol=0,
                atol=tolerance("probe_optimum", "float64"),
            )


def test_streamed_reference_stops_where_scikit_learn_stops(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = data
    task = ProbeTask(X, y, X, y, (None, np.arange(30)))
    found = fit_tasks([task], memory_bytes=BUDGET, keep_predictions=True)[0]
    assert found.predictions is not None
    for s, rows in enumerate((slice(None), slice(30))):
        peer = LogisticRegression(max_iter=1000).fit(X[rows], y[rows])
        assert found.n_iter[s, 0] == peer.n_iter_[0]
        np.testing.assert_array_equal(found.predictions[s, 0], peer.predict(X))


def test_streaming_changes_no_fit(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    whole = fit_logistic(X, y, C=(0.1, 10.0))
    streamed = fit_logistic(X, y, C=(0.1, 10.0), memory_bytes=BUDGET)
    np.testing.assert_array_equal(whole.status, streamed.status)
    np.testing.assert_array_equal(whole.predict(X), streamed.predict(X))
