"""``reference32`` against the installed scikit-learn (1.9 or later) on float32 features."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn
from sklearn._loss.loss import HalfBinomialLoss, HalfMultinomialLoss
from sklearn.linear_model import LogisticRegression

from geneb_jax_kernels.rounded_loss import pairwise_sum, rounded_terms, running_sum
from geneb_jax_probes import ProbeTask, fit_logistic, fit_tasks
from tests.probes.test_real_tasks_sweep import SEEDS, _tasks
from tests.tolerance import Tolerance

pytestmark = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9), reason="scikit-learn before 1.9"
)
Cells = dict[tuple[str, str, str], float]
Steps = dict[tuple[str, str, int], int]


def _counts(classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of 64 words in made-up sequences: small, alike, full of ties."""
    rng = np.random.default_rng(seed)
    tables = rng.dirichlet(np.full(64, 20.0), classes)
    y = rng.integers(0, classes, 400)
    X = np.stack([rng.multinomial(60, tables[k]) for k in y]).astype(np.float32) / np.float32(60)
    return X, y


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_and_sums_are_scikit_learns_and_numpys_bit_for_bit(
    classes: int, tolerance: Tolerance
) -> None:
    rng = np.random.default_rng(classes)
    logits = 1 if classes == 2 else classes
    z = rng.normal(size=(2000, logits)) * 10.0 ** rng.uniform(-4, 1.5, (2000, 1))
    z, y = z.astype(np.float32), rng.integers(0, classes, 2000)
    peer = HalfBinomialLoss() if classes == 2 else HalfMultinomialLoss(n_classes=classes)
    raw = z[:, 0] if classes == 2 else z
    loss, slope = peer.loss_gradient(y_true=y.astype(np.float32), raw_prediction=raw)
    with jax.enable_x64(True):
        ours = [
            np.asarray(part)
            for part in rounded_terms(jnp.asarray(z), jnp.asarray(y.astype(np.int32)))
        ]
    allowed = tolerance("reference32_terms", "float32")
    assert np.mean(ours[0].astype(np.float32) != loss) <= allowed
    assert np.mean(ours[1].astype(np.float32).reshape(slope.shape) != slope) <= allowed
    for count in (1, 2, 7, 8, 20, 30, 127, 128):
        padded = np.zeros((1, 128, 3), np.float32)
        padded[0, :count] = rng.normal(size=(count, 3))
        rows = padded[0, :count]
        np.testing.assert_array_equal(running_sum(jnp.asarray(padded))[0], rows.sum(axis=0))
        column = np.ascontiguousarray(rows[:, 1])
        ours_sum = pairwise_sum(jnp.asarray(padded[..., 1]), jnp.array([count], jnp.int32))
        np.testing.assert_array_equal(ours_sum[0], column.sum())


@pytest.mark.parametrize("classes", [2, 3])
def test_steps_and_predictions_are_the_installed_ones(classes: int, tolerance: Tolerance) -> None:
    X, y = _counts(classes, classes)
    rng = np.random.default_rng(0)
    few = [
        np.concatenate([rng.choice(np.flatnonzero(y[:300] == k), n, False) for k in range(classes)])
        for n in (10, 1)
        for _ in range(10)
    ]
    subsets = [None, *few]
    (found,) = fit_tasks(
        [ProbeTask(X[:300], y[:300], X[300:], y[300:], subsets)],
        solver="reference32",
        keep_predictions=True,
    )
    assert (found.solver, found.dtype, found.error) == ("reference32", "float32", (None,) * 21)
    steps, wrong = 0, 0
    for s, rows in enumerate(subsets):
        chosen = slice(0, 300) if rows is None else rows
        peer = LogisticRegression(max_iter=1000).fit(X[chosen], y[chosen])
        steps += int(found.n_iter[s, 0] != peer.n_iter_[0])
        assert found.predictions is not None
        wrong += int((found.predictions[s, 0] != peer.predict(X[300:])).sum())
    # Ties fall by the last bit, which no two kernels share; float64 steps miss many times as many.
    assert steps <= 1 and wrong <= tolerance("reference32_rows", "float32") * 2100, (steps, wrong)


def test_float64_features_are_fitted_as_by_reference() -> None:
    X, y = _counts(3, 5)
    wide = X.astype(np.float64)
    fits = [fit_logistic(wide, y, solver=name) for name in ("reference", "reference32")]
    assert fits[1].dtype == "float64"
    np.testing.assert_array_equal(fits[0].coef, fits[1].coef)
    assert fit_logistic(X, y, solver="reference32").dtype == "float32"
    assert fit_logistic(X, y, solver="reference32").coef.dtype == np.float32


def test_streamed_features_take_the_same_steps() -> None:
    X, y = _counts(2, 6)
    X, y = np.tile(X, (6, 1)), np.tile(y, 6)
    whole, parts = (
        fit_logistic(X, y, solver="reference32", memory_bytes=m) for m in (None, 200_000)
    )
    np.testing.assert_array_equal(whole.n_iter, parts.n_iter)


def _recorded(path: Path, version: str, blas: str) -> tuple[Cells, Steps]:
    sums: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    steps: Steps = {}
    with path.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if (row["sklearn"], row["blas"]) == (version, blas):
                steps[row["task_id"], row["regime"], int(row["seed"])] = int(row["n_iter"])
                for name in ("mcc", "accuracy", "macro_f1"):
                    sums[row["task_id"], row["regime"], name].append(float(row[name]))
    return {key: round(float(np.mean(found)), 4) for key, found in sums.items()}, steps


def _ours(tasks: list[ProbeTask], solver: str) -> tuple[Cells, Steps]:
    cells: Cells = {}
    steps: Steps = {}
    places = {"full": [0], "10shot": list(range(1, 6)), "1shot": list(range(6, 11))}
    for task, found in zip(tasks, fit_tasks(tasks, solver=solver), strict=True):
        for regime, at in places.items():
            for name in ("mcc", "accuracy", "macro_f1"):
                cells[task.name, regime, name] = round(float(getattr(found, name)[at].mean()), 4)
            for seed, s in zip(SEEDS, at, strict=False):
                steps[task.name, regime, seed] = int(found.n_iter[s, 0])
    return cells, steps


@pytest.mark.sweep
@pytest.mark.timeout(1500)
def test_every_real_task_beside_the_recorded_harness(
    real_tasks: Path, tolerance: Tolerance
) -> None:
    """At most 1.3 times what another BLAS kernel changes in scikit-learn itself."""
    recorded = real_tasks.parent / "kmer4_harness.csv"
    if not recorded.exists():
        pytest.skip("kmer4_harness.csv is not beside the tasks")
    ours, steps = _ours(_tasks(real_tasks, None), "reference32")
    peer, peer_steps = _recorded(recorded, "1.9.1", "SkylakeX")
    other, other_steps = _recorded(recorded, "1.9.1", "Haswell")
    share = tolerance("reference32", "kernels")
    few = [key for key in peer if key[1] != "full" and key[2] == "mcc"]

    def apart(cells: Cells) -> tuple[int, float]:
        moved = np.mean([abs(cells[key] - peer[key]) for key in few])
        return sum(cells[key] != peer[key] for key in peer), float(moved)

    assert apart(ours)[0] <= share * apart(other)[0]
    assert apart(ours)[1] <= share * apart(other)[1]
    agreed = [key for key in peer_steps if peer_steps[key] == other_steps[key]]
    equal = np.mean([steps[key] == peer_steps[key] for key in agreed])
    assert equal >= tolerance("reference32", "steps")
