"""Rows, keys and suites to try the results on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from geneb_jax.benchmark import Protocol, Regime, Suite, Task, load_suite
from geneb_jax.results import ScoreRow, UnitKey

SEEDS = (13, 17, 42, 123, 997)

ROW = ScoreRow(
    model_id="kmer-4",
    task_id="task-a",
    category="One",
    regime="10shot",
    seed=13,
    C=1.0,
    probe="logistic",
    solver="reference",
    mcc=0.1 + 0.2,
    accuracy=2 / 3,
    macro_f1=0.5,
    n_train=20,
    n_test=180,
    n_classes=2,
    n_iter=7,
    grad_norm=3.5e-05,
    status="converged",
)


@pytest.fixture
def row() -> ScoreRow:
    return ROW


@pytest.fixture
def key() -> UnitKey:
    return UnitKey(
        task_id="task-a",
        regime="10shot",
        shots=10,
        embedding={"model_id": "kmer-4", "weights": "none", "layer": -1},
        task_fingerprint="ab" * 32,
        seeds=SEEDS,
        C=(0.1, 1.0),
        probe="logistic",
        solver="reference",
        tol=1e-4,
        max_iter=1000,
        dtype="float64",
        code="1",
    )


@pytest.fixture
def key_rows(key: UnitKey) -> list[ScoreRow]:
    """The rows of ``key``, every score another float."""
    generator = np.random.RandomState(7)
    return [
        replace(
            ROW,
            **key.identity_columns(),
            C=C,
            seed=seed,
            mcc=float(generator.uniform(-1, 1)),
            accuracy=float(generator.uniform()),
            macro_f1=float(generator.uniform()),
            grad_norm=float(generator.uniform(0, 1e-4)),
        )
        for C in key.C
        for seed in key.seeds
    ]


@pytest.fixture(scope="session")
def geneb() -> Suite:
    return load_suite("geneb")


@pytest.fixture(scope="session")
def small_suite() -> Suite:
    """Three categories of one, two and three tasks, so that macro and micro differ."""
    names = {"a": "One", "b": "Two", "c": "Two", "d": "Three", "e": "Three", "f": "Three"}
    return Suite(
        name="small",
        title="Small",
        tasks=tuple(Task(f"task-{name}", name, category) for name, category in names.items()),
        protocol=Protocol((Regime("full", None), Regime("10shot", 10)), SEEDS),
        harness_version="GENEB-0.1.0",
        dataset=load_suite("geneb").dataset,
    )


@pytest.fixture(scope="session")
def score_all() -> Callable[..., list[ScoreRow]]:
    """Random scores of one model on every task, regime and seed of a suite."""

    def score(suite: Suite, model_id: str = "kmer-4", seeds: Iterable[int] = SEEDS, **fixed: Any):
        generator = np.random.RandomState(3)
        return [
            replace(
                ROW,
                model_id=model_id,
                task_id=task.task_id,
                category=task.category,
                regime=regime.name,
                seed=seed,
                n_test=task.test_rows or ROW.n_test,
                mcc=float(generator.uniform(-1, 1)),
                accuracy=float(generator.uniform()),
                macro_f1=float(generator.uniform()),
                **fixed,
            )
            for task in suite.tasks
            for regime in suite.protocol.regimes
            for seed in seeds
        ]

    return score


@pytest.fixture(scope="session")
def failed() -> Callable[[ScoreRow], ScoreRow]:
    """The same fit, failed."""

    def fail(row: ScoreRow, error: str = "one class in the draw") -> ScoreRow:
        return replace(row, mcc=None, accuracy=None, macro_f1=None, status="failed", error=error)

    return fail
