"""The estimators against scikit-learn's contract, LogisticRegression, pipelines and loops."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from geneb_jax.probes import LogisticProbe, LogisticProbeCV, MLPProbe
from tests.tolerance import Tolerance

SCORERS = {
    "mcc": matthews_corrcoef,
    "accuracy": accuracy_score,
    "macro_f1": lambda truth, guess: f1_score(truth, guess, average="macro"),
}


def _data(classes: int, rows: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of unlike sizes and means, labels as strings."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 6))
    logits = X @ rng.standard_normal((6, classes)) + rng.gumbel(size=(rows, classes))
    y = np.array([f"class {k}" for k in np.argmax(logits, axis=1)])
    return X * np.geomspace(0.1, 10, 6) + np.arange(6), y


def _optimum(**options: object) -> LogisticRegression:
    """By Newton's method: lbfgs ends 1e-6 short of the probabilities at the minimum."""
    return LogisticRegression(solver="newton-cholesky", tol=1e-10, **options)


def _contract(estimator: object, exceptions: dict[str, str]) -> None:
    """Run every check; only ``exceptions`` may fail, each with its reason, and must."""
    with warnings.catch_warnings():
        # The estimators keep scikit-learn's contract without depending on scikit-learn.
        warnings.filterwarnings("ignore", message=".*does not inherit from `sklearn.base")
        warnings.filterwarnings("ignore", message=".*array_api.*")
        found = check_estimator(
            estimator, expected_failed_checks=exceptions, on_skip=None, on_fail="raise"
        )
    failed = {one["check_name"] for one in found if one["status"] == "xfail"}
    skipped = {one["check_name"] for one in found if one["status"] == "skipped"}
    assert failed == set(exceptions)
    assert skipped <= {"check_array_api_input"}  # runs only with SCIPY_ARRAY_API=1, on torch input
    assert sum(one["status"] == "passed" for one in found) > 50


def test_logistic_probe_keeps_the_contract(unchecked_annotations: None) -> None:
    _contract(LogisticProbe(), {})


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("estimator", "exceptions"),
    [
        (LogisticProbe(solver="reference", standardize=True), {}),
        (
            LogisticProbeCV(folds=2),
            {
                "check_sample_weight_equivalence_on_dense_data": "a row repeated is dealt into "
                "several folds, a row of weight 2 into one (as in LogisticRegressionCV)"
            },
        ),
        (MLPProbe(hidden=32, learning_rate=0.02), {}),
    ],
    ids=["reference", "cross-validated", "mlp"],
)
def test_the_others_keep_it_but_for_what_is_named(
    estimator: object, exceptions: dict[str, str], unchecked_annotations: None
) -> None:
    _contract(estimator, exceptions)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("class_weight", [None, "balanced", {"class 0": 3.0}])
@pytest.mark.parametrize("standardize", [False, True])
def test_probabilities_are_those_of_scikit_learns_optimum(
    classes: int, class_weight: object, standardize: bool, tolerance: Tolerance
) -> None:
    X, y = _data(classes)
    weight = np.random.default_rng(1).uniform(0, 2, len(y)).round(1)
    ours = LogisticProbe(C=0.7, class_weight=class_weight, standardize=standardize)
    ours.fit(X[:100], y[:100], sample_weight=weight[:100])
    peer = _optimum(C=0.7, class_weight=class_weight)
    if standardize:
        scaler = StandardScaler().fit(X[:100], sample_weight=weight[:100])
        peer.fit(scaler.transform(X[:100]), y[:100], sample_weight=weight[:100])
        theirs = peer.predict_proba(scaler.transform(X[100:]))
    else:
        peer.fit(X[:100], y[:100], sample_weight=weight[:100])
        theirs = peer.predict_proba(X[100:])
    near = tolerance("probe_optimum", "float64")
    np.testing.assert_allclose(ours.predict_proba(X[100:]), theirs, rtol=0, atol=near)
    np.testing.assert_array_equal(ours.classes_, peer.classes_)
    np.testing.assert_array_equal(ours.predict(X), ours.classes_[ours.predict_proba(X).argmax(1)])


@pytest.mark.parametrize("standardize", [False, True])
def test_reference_estimator_stops_where_scikit_learn_stops(standardize: bool) -> None:
    X, y = _data(2)
    ours = LogisticProbe(solver="reference", standardize=standardize).fit(X, y)
    peer = make_pipeline(StandardScaler() if standardize else "passthrough", LogisticRegression())
    peer.fit(X, y)
    np.testing.assert_array_equal(ours.n_iter_, peer[-1].n_iter_)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


def test_works_inside_scikit_learns_own_loops() -> None:
    X, y = _data(3)
    folds = StratifiedKFold(3, shuffle=True, random_state=5)
    ours = cross_val_score(clone(LogisticProbe(C=2.0)), X, y, cv=folds)
    np.testing.assert_array_equal(ours, cross_val_score(_optimum(C=2.0), X, y, cv=folds))


@pytest.mark.parametrize("scoring", SCORERS)
@pytest.mark.parametrize("standardize", [False, True])
def test_cross_validated_scores_are_those_of_a_stratified_loop(
    scoring: str, standardize: bool, tolerance: Tolerance
) -> None:
    X, y = _data(3)
    Cs = (0.003, 0.1, 10.0)
    ours = LogisticProbeCV(Cs, folds=4, scoring=scoring, seed=9, standardize=standardize).fit(X, y)
    folds = StratifiedKFold(4, shuffle=True, random_state=9)
    theirs = np.empty((4, len(Cs)))
    for k, (train, held_out) in enumerate(folds.split(X, y)):
        for c, C in enumerate(Cs):
            peer = make_pipeline(StandardScaler() if standardize else "passthrough", _optimum(C=C))
            guess = peer.fit(X[train], y[train]).predict(X[held_out])
            theirs[k, c] = SCORERS[scoring](y[held_out], guess)
    exact = tolerance("metrics", "float64")
    np.testing.assert_allclose(ours.scores_, theirs, rtol=0, atol=exact)
    assert ours.C_ == Cs[int(np.argmax(theirs.mean(axis=0)))]
    alone = LogisticProbe(ours.C_, standardize=standardize).fit(X, y)
    near = tolerance("probe_optimum", "float64")
    np.testing.assert_allclose(ours.predict_proba(X), alone.predict_proba(X), rtol=0, atol=near)


def test_mlp_probe_learns_what_scikit_learns_mlp_learns() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 4))
    y = np.where(np.square(X[:, :2]).sum(1) > 1.4, "outside", "inside")
    ours, theirs = [], []
    for seed in range(3):
        probe = MLPProbe(64, learning_rate=0.01, seed=seed).fit(X[:600], y[:600])
        peer = MLPClassifier((64,), learning_rate_init=0.01, early_stopping=True, random_state=seed)
        ours.append(probe.score(X[600:], y[600:]))
        theirs.append(peer.fit(X[:600], y[:600]).score(X[600:], y[600:]))
        assert probe.status_ == "converged"
    assert np.mean(ours) > np.mean(theirs) - 0.03
