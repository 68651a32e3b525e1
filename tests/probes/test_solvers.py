"""Solvers by name: the referee against the exact one, a toy from outside, names without JAX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geneb_jax_probes import (
    LogisticProbe,
    ProbeOptionError,
    ProbeTask,
    fit_logistic,
    fit_tasks,
)
from geneb_jax_probes.solvers.choice import SOLVERS, find_solver, register
from tests.tolerance import Tolerance

#: Strengths and subsets of one call: ten problems.
STRENGTHS = 5


def _features(rows: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random features; of every three seeds one has classes that come apart."""
    rng = np.random.default_rng(seed)
    decay = rng.choice([0.0, 0.5, 1.0])
    X = rng.standard_normal((rows, width)) * np.arange(1, width + 1) ** -decay
    X = X * rng.choice([0.1, 1.0, 5.0]) + rng.choice([0.0, 1.0])
    logits = X @ rng.standard_normal((width, classes))
    noise = (0.0, 1.0, 4.0)[seed % 3] * logits.std()
    y = np.argmax(logits + noise * rng.gumbel(size=logits.shape), axis=1)
    y[:classes] = np.arange(classes)
    y[-classes:] = np.arange(classes)
    return X, y


def _worst_difference(rows: int, width: int, classes: int, seed: int) -> tuple[float, int]:
    """Largest relative difference of the objectives, and the number of problems compared."""
    X, y = _features(rows, width, classes, seed)
    C = 10.0 ** np.random.default_rng(seed).uniform(-3, 3, STRENGTHS)
    subsets = (None, np.r_[: max(classes, rows // 2), rows - classes : rows])
    exact = fit_logistic(X, y, C=C, subsets=subsets)
    referee = fit_logistic(X, y, C=C, subsets=subsets, solver="optax", max_iter=20_000)
    assert exact.converged.all() and referee.converged.all(), (exact.status, referee.status)
    assert (referee.solver, referee.dtype) == ("optax", "float64")
    own = np.empty_like(referee.objective)
    for s, chosen in enumerate(subsets):
        some = slice(None) if chosen is None else chosen
        for c, strength in enumerate(C):
            own[s, c] = _objective(X[some], y[some], strength, exact, s, c)
    apart = np.abs(referee.objective - exact.objective) / exact.objective
    claimed = np.abs(own - exact.objective) / exact.objective
    return float(max(apart.max(), claimed.max())), apart.size


def _objective(X: np.ndarray, y: np.ndarray, C: float, fits: object, s: int, c: int) -> float:
    """The objective at a fit's own weights, by NumPy."""
    coef, intercept = fits.coef[s, c], fits.intercept[s, c]  # type: ignore[attr-defined]
    z = X @ coef.T + intercept
    z = np.hstack([np.zeros((len(z), 1)), z]) if z.shape[1] == 1 else z
    loss = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), y]
    return float(loss.mean() + np.square(coef).sum() / (2 * C * len(y)))


@pytest.mark.parametrize(("rows", "width", "classes", "seed"), [(60, 200, 2, 0), (300, 24, 4, 1)])
def test_the_referee_finds_the_minimum_that_exact_finds(
    rows: int, width: int, classes: int, seed: int, tolerance: Tolerance
) -> None:
    worst, _ = _worst_difference(rows, width, classes, seed)
    assert worst <= tolerance("probe_referee", "float64")


@pytest.mark.sweep
@pytest.mark.timeout(1500)
def test_the_referee_on_two_hundred_problems(tolerance: Tolerance) -> None:
    compared, worst = 0, 0.0
    for seed in range(20):
        rows, width = (12, 60, 400)[seed % 3], (2, 24, 80, 200)[seed % 4]
        apart, count = _worst_difference(rows, width, 2 + seed % 5, seed)
        worst, compared = max(worst, apart), compared + count
    assert compared == 200
    assert worst <= tolerance("probe_referee", "float64")


@pytest.mark.fault("F16")
def test_the_referee_says_when_it_was_stopped() -> None:
    X, y = _features(300, 24, 4, 1)
    stopped = fit_logistic(X, y, C=1000.0, subsets=(None, np.arange(300)), solver="optax",
                           max_iter=2)  # fmt: skip
    assert stopped.status.tolist() == [["max_iter"], ["max_iter"]]
    assert stopped.n_iter.max() == 2 and not stopped.converged.any()
    with pytest.raises(ProbeOptionError, match="holds the features whole"):
        fit_logistic(X, y, solver="optax", memory_bytes=1000)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_referee_reports_the_objective_to_its_last_digits(
    classes: int, tolerance: Tolerance
) -> None:
    """Where every row is right by far, log(p) of its class is all cancellation."""
    rng = np.random.default_rng(classes)
    y = np.arange(200) % classes
    X = rng.normal(size=(200, 8)) + 6 * rng.normal(size=(classes, 8))[y]
    strength = 1e8
    found = fit_logistic(X, y, C=strength, solver="optax", max_iter=20_000)
    W, b = (part[0, 0].astype(np.longdouble) for part in (found.coef, found.intercept))
    z = X.astype(np.longdouble) @ W.T + b
    z = np.hstack([np.zeros((len(z), 1)), z]) if classes == 2 else z
    apart = np.exp(z - z[np.arange(len(y)), y][:, None])
    apart[np.arange(len(y)), y] = 0
    wanted = np.log1p(apart.sum(axis=1)).mean() + np.square(W).sum() / (2 * strength * len(y))
    assert found.converged.all()
    assert abs(float(found.objective[0, 0] / wanted) - 1) <= tolerance("metrics", "float64")


def test_a_tolerance_of_the_callers_is_kept() -> None:
    X, y = _features(300, 24, 4, 1)
    asked = (1e-2, 1e-8)
    loose, tight = (fit_logistic(X, y, solver="optax", tol=tol) for tol in asked)
    assert loose.converged.all() and tight.converged.all()
    assert asked[1] < loose.grad_norm[0, 0] <= asked[0] and tight.grad_norm[0, 0] <= asked[1]


@pytest.fixture
def toy() -> object:
    """The toy solver, in the list for one test."""
    sys.path.insert(0, str(Path(__file__).parent))
    register("toy", "scipy's BFGS, one fit at a time", "toy_solver:TOY")
    yield "toy"
    del SOLVERS["toy"]
    sys.path.pop(0)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_solver_of_another_package_works_everywhere(
    classes: int, toy: str, tolerance: Tolerance
) -> None:
    X, y = _features(90, 24, classes, 4)
    few = np.r_[:20, 90 - classes : 90]
    near = tolerance("probe_optimum", "float64")
    fits = [fit_logistic(X, y, C=(0.1, 1.0), subsets=(None, few), solver=s) for s in (toy, "exact")]
    np.testing.assert_allclose(fits[0].objective, fits[1].objective, rtol=near, atol=0)
    np.testing.assert_allclose(*(f.predict_proba(X) for f in fits), rtol=0, atol=10 * near)
    task = ProbeTask(X, y, X, y, (None, few))
    (scored,) = fit_tasks([task], solver=toy, keep_predictions=True)
    assert scored.solver == "toy" and scored.error == (None, None)
    guess = LogisticProbe(solver=toy).fit(X, y).predict(X)
    assert scored.predictions is not None
    np.testing.assert_array_equal(guess, scored.predictions[0, 0])


def test_an_unknown_solver_is_told_the_known_ones(toy: str) -> None:
    for name in (*SOLVERS, toy):
        assert find_solver(name).name == name
    with pytest.raises(
        ProbeOptionError, match="'reference', 'reference32', 'exact', 'optax', 'toy', got 'newton'"
    ):
        fit_logistic(np.eye(4), [0, 1, 0, 1], solver="newton")
    with pytest.raises(ProbeOptionError, match="already"):
        register("exact", "another", "elsewhere:EXACT")


def test_metrics_names_and_endings_load_neither_jax_nor_optax() -> None:
    code = """
import sys
import geneb_jax_probes
from geneb_jax_probes import CODE_VERSION, Ending, MLPRecipe, ProbeOptionError, ProbeTask, scores
from geneb_jax_probes.metrics import scores
from geneb_jax_probes.endings import Ending
from geneb_jax_probes.solvers.choice import SOLVERS
assert [entry.says for entry in SOLVERS.values()]
assert float(scores([0, 1], [0, 1]).mcc) == 1.0
assert not {"jax", "optax"} & set(sys.modules), "loaded"
for name in geneb_jax_probes.__all__:
    getattr(geneb_jax_probes, name)
assert "jax" in sys.modules
"""
    source = Path(__file__).parents[2]
    path = f"{source / 'kernels'}:{source / 'probes'}"
    environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
