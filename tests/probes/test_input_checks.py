"""Odd labels, weights, limits and arrays: refused as scikit-learn does, each by its own task."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax_probes import (
    LogisticProbe,
    LogisticProbeCV,
    ProbeDataError,
    ProbeOptionError,
    ProbeTask,
    fit_logistic,
    fit_tasks,
)
from tests.tolerance import Tolerance

ROWS = 160


def _problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(ROWS, 6)).astype(np.float32)
    return X, (X[:, 0] + 1.2 * rng.normal(size=ROWS) > 0.6).astype(int)


X, Y = _problem()
TRAIN, TEST = slice(0, 100), slice(100, ROWS)
GOOD = ProbeTask(X[TRAIN], Y[TRAIN], X[TEST], Y[TEST])


def _labelled(y: object, of: slice = TRAIN) -> ProbeTask:
    """The good task with other labels of one side."""
    sides = {"y_train": Y[TRAIN], "y_test": Y[TEST]}
    sides["y_train" if of is TRAIN else "y_test"] = y  # type: ignore[assignment]
    return ProbeTask(X[TRAIN], X_test=X[TEST], **sides)


# Class weights.


@pytest.mark.parametrize("weights", [{"0": 1.0, "1": 20.0}, {7: 2.0}, {0: 2.0, 7: 1.0}])
@pytest.mark.parametrize("probe", [LogisticProbe, LogisticProbeCV])
def test_weights_of_no_label_are_refused_as_by_scikit_learn(probe: type, weights: object) -> None:
    with pytest.raises(ValueError):
        LogisticRegression(class_weight=weights).fit(X, Y)
    with pytest.raises(ProbeOptionError, match="class_weight"):
        probe(class_weight=weights).fit(X, Y)


@pytest.mark.parametrize(
    "weights", [{0: 2.0}, {1: 20.0}, {0: 1.0, 1: 5.0, 7: 3.0}, {}, {True: 4.0}, {np.int64(1): 3}]
)
def test_weights_that_scikit_learn_takes_are_taken(weights: dict, tolerance: Tolerance) -> None:
    ours = LogisticProbe(class_weight=weights, dtype="float64").fit(X.astype(float), Y)
    peer = LogisticRegression(class_weight=weights, solver="newton-cholesky", tol=1e-10)
    peer.fit(X.astype(float), Y)
    apart = np.abs(ours.predict_proba(X.astype(float)) - peer.predict_proba(X.astype(float))).max()
    assert apart <= tolerance("probe_optimum", "float64")


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, 10**400])
def test_a_weight_is_a_number_from_zero(weight: object) -> None:
    with pytest.raises(ProbeOptionError, match="class_weight of 0 must be a number from 0"):
        LogisticProbe(class_weight={0: weight}).fit(X, Y)


# Limits.


@pytest.mark.parametrize(
    "option",
    [
        {"max_iter": -1}, {"tol": -1e-4}, {"tol": np.nan}, {"tol": np.inf},
        {"C": -1.0}, {"C": 0.0}, {"C": np.nan}, {"C": np.inf}, {"C": ()}, {"memory_bytes": -1},
        {"dtype": "float16"}, {"solver": "lbfgs"},
    ],
    ids=str,
)  # fmt: skip
def test_limits_that_limit_nothing_are_refused(option: dict) -> None:
    with pytest.raises(ProbeOptionError):
        fit_logistic(X, Y, **option)
    with pytest.raises(ProbeOptionError):  # of the call: it is no task's own fault
        fit_tasks([GOOD], **option)


# Labels.

HOLED = Y.astype(float)
HOLED[[30, 130]] = np.nan


@pytest.mark.parametrize("side", [TRAIN, TEST], ids=["train", "test"])
@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (HOLED, "NaN or infinity in row 30"),
        (np.where(np.isnan(HOLED), np.inf, HOLED), "NaN or infinity in row 30"),
        (np.array([None if np.isnan(v) else "ab"[int(v)] for v in HOLED], object), "missing"),
        (X[:, 0].astype(float), "continuous"),
        (np.array([0, "a"], object)[Y], "mixes"),
        (np.array([[0], [0, 1]], object)[Y], "sequence"),
        (np.array([Decimal(0), Decimal(1)], object)[Y], "labels are numbers or text"),
        (Y.astype("datetime64[D]"), "labels are numbers or text"),
        (Y[:, None], "one dimension"),
    ],
    ids=["NaN", "infinity", "None", "continuous", "mixed", "lists", "Decimal", "dates", "two-d"],
)
def test_labels_of_both_sides_go_through_one_check(
    side: slice, labels: np.ndarray, word: str
) -> None:
    (found,) = fit_tasks([_labelled(labels[side], side)])
    assert word in found.error[0], found.error
    assert np.isnan(found.mcc).all() and np.isnan(found.accuracy).all()


@pytest.mark.parametrize("train", [Y.astype(str), Y.astype("S1")], ids=["text", "bytes"])
def test_labels_that_could_never_be_equal_are_refused(train: np.ndarray) -> None:
    (found,) = fit_tasks([_labelled(train[TRAIN])])
    assert "none would ever be equal" in found.error[0] and np.isnan(found.accuracy).all()


def test_labels_beyond_float64_are_not_run_together() -> None:
    big = Y + 2**62
    (same,) = fit_tasks([ProbeTask(X[TRAIN], big[TRAIN], X[TEST], big[TEST])])
    (good,) = fit_tasks([GOOD])
    assert same.mcc.tolist() == good.mcc.tolist()
    (mixed,) = fit_tasks([ProbeTask(X[TRAIN], big[TRAIN], X[TEST], big[TEST].astype(float))])
    assert "cannot be told apart" in mixed.error[0] and np.isnan(mixed.accuracy).all()


@pytest.mark.parametrize(
    "kinds", [(int, float), (bool, int), ("U3", "U9"), (np.uint8, np.int64), (object, int)]
)
def test_kinds_that_can_be_equal_are_scored_as_by_scikit_learn(
    kinds: tuple, tolerance: Tolerance
) -> None:
    train, test = (Y[part].astype(kind) for part, kind in zip((TRAIN, TEST), kinds, strict=True))
    task = ProbeTask(X[TRAIN], train, X[TEST], test)
    (found,) = fit_tasks([task], keep_predictions=True)
    peer = LogisticRegression(max_iter=1000).fit(X[TRAIN].astype(float), Y[TRAIN])
    guess = peer.predict(X[TEST].astype(float))
    assert found.predictions[0, 0].astype(float).astype(int).tolist() == guess.tolist()
    truth = Y[TEST]
    wanted = (
        matthews_corrcoef(truth, guess),
        accuracy_score(truth, guess),
        f1_score(truth, guess, average="macro"),
    )
    for score, value in zip((found.mcc, found.accuracy, found.macro_f1), wanted, strict=True):
        assert abs(score[0, 0] - value) <= tolerance("metrics", "float64")


@pytest.mark.fault("F20")
def test_one_class_is_named_plainly() -> None:
    with pytest.raises(ProbeDataError, match=r"one class \(0\)"):
        fit_logistic(X, np.zeros(ROWS, int))


# One task's fault is its own.


class _Raises:
    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    "features",
    [
        torch.tensor(X[TRAIN]).bfloat16(),
        torch.tensor(X[TRAIN], requires_grad=True),
        [[1.0, 2.0], [3.0]],
        _Raises(),
        "abc",
        np.ma.masked_greater(X[TRAIN], 1.0),
        X[TRAIN][None],
        X[TRAIN][:, :0],
        X[TRAIN].astype(complex),
        X[TRAIN].astype(str),
        np.where(X[TRAIN] > 2, np.nan, X[TRAIN]),
        X[: TRAIN.stop - 1],
    ],
    ids=lambda one: f"{type(one).__name__}-{getattr(one, 'dtype', '')}",
)
@pytest.mark.fault("F11")
def test_features_that_are_none_fail_their_own_task(features: object) -> None:
    odd = ProbeTask(features, Y[TRAIN], X[TEST], Y[TEST])  # type: ignore[arg-type]
    turned = ProbeTask(X[TRAIN], Y[TRAIN], features, Y[TRAIN])  # type: ignore[arg-type]
    (alone,) = fit_tasks([GOOD])
    first, broken, other, last = fit_tasks([GOOD, odd, turned, GOOD])
    for one in (broken, other):
        assert one.error[0] and np.isnan(one.mcc).all()
    assert first.error == last.error == (None,)
    assert first.mcc.tolist() == last.mcc.tolist() == alone.mcc.tolist()


#: What no annotation allows and users give all the same: without the checks of the test suite.
_UNTYPED = """
import numpy as np, scipy.sparse
from geneb_jax_probes import LogisticProbe, ProbeError, ProbeTask, fit_tasks

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)
good = ProbeTask(X, y, X, y)
for odd in (None, {"a": 1}, {1, 2}, scipy.sparse.csr_matrix(X)):
    for task in (ProbeTask(odd, y, X, y), ProbeTask(X, odd, X, y), ProbeTask(X, y, X, odd)):
        first, broken, last = fit_tasks([good, task, good])
        assert first.error == last.error == (None,), odd
        assert broken.error[0] and "Error" not in broken.error[0], (odd, broken.error)
for option in (
    {"class_weight": "Balanced"}, {"class_weight": [1, 2]}, {"class_weight": {0: "a"}},
    {"class_weight": {0: None}}, {"max_iter": 1.5}, {"max_iter": "9"}, {"tol": "a"}, {"solver": 3},
):
    try:
        LogisticProbe(**option).fit(X, y)
    except ProbeError as error:
        assert next(iter(option)) in str(error), (option, error)
    else:
        raise AssertionError(option)
print("done")
"""


def test_what_no_annotation_allows_ends_in_one_message() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _UNTYPED], capture_output=True, text=True, timeout=300, check=False
    )
    assert found.stdout == "done\n", found.stderr
