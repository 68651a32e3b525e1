"""Small suites, rows and cubes for the analysis tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from geneb_jax.analysis import ScoreCube
from geneb_jax.benchmark import Protocol, Regime, Suite, Task
from geneb_jax.results import ModelFacts, ScoreRow

REGIMES = (Regime("full", None), Regime("10shot", 10), Regime("1shot", 1))
SEEDS = (13, 17)


@pytest.fixture(scope="session")
def make_suite() -> Callable[..., Suite]:
    """A suite with so many tasks a category: ``make_suite([3, 1])`` has four tasks in two."""

    def make(sizes: Sequence[int] = (3, 2, 1), **changes: Any) -> Suite:
        tasks = tuple(
            Task(f"task-{c}-{k}", f"Task {c}.{k}", f"Category {c}")
            for c, size in enumerate(sizes)
            for k in range(size)
        )
        protocol = Protocol(regimes=REGIMES, seeds=SEEDS)
        return Suite(
            **{"name": "toy", "title": "Toy", "tasks": tasks, "protocol": protocol, **changes}
        )

    return make


@pytest.fixture(scope="session")
def make_row() -> Callable[..., ScoreRow]:
    """A converged row; keyword arguments replace its columns."""

    def make(
        task: Task, regime: str = "full", seed: int = 13, mcc: float | None = 0.5, **changes: Any
    ):
        failed = mcc is None
        columns: dict[str, Any] = {
            "model_id": "mine",
            "task_id": task.task_id,
            "category": task.category,
            "regime": regime,
            "seed": seed,
            "C": 1.0,
            "probe": "logistic",
            "solver": "reference",
            "mcc": mcc,
            "accuracy": None if failed else 0.5,
            "macro_f1": None if failed else 0.5,
            "n_train": None if failed else 100,
            "n_test": None if failed else task.test_rows or 401,
            "n_classes": None if failed else 2,
            "n_iter": None if failed else 7,
            "grad_norm": None if failed else 1e-5,
            "status": "failed" if failed else "converged",
            "error": "no rows" if failed else "",
        }
        return ScoreRow(**{**columns, **changes})

    return make


@pytest.fixture(scope="session")
def make_rows(make_row) -> Callable[..., list[ScoreRow]]:
    """Every row of a model on a suite: the task's place gives its score, the seed a small step."""

    def make(suite: Suite, model_id: str = "mine", *, level: float = 0.3, **changes: Any):
        return [
            make_row(
                task,
                regime.name,
                seed,
                round(level + 0.005 * k - 0.02 * r + (0.01 * s if regime.seeded else 0.0), 6),
                model_id=model_id,
                **changes,
            )
            for k, task in enumerate(suite.tasks)
            for r, regime in enumerate(suite.protocol.regimes)
            for s, seed in enumerate(suite.protocol.seeds)
        ]

    return make


@pytest.fixture(scope="session")
def make_cube() -> Callable[..., ScoreCube]:
    """A cube from scores ``[model, task]`` (one regime) or ``[model, regime, task]``."""

    def make(
        scores: np.ndarray,
        sizes: Sequence[int],
        *,
        params: Sequence[int | None] | None = None,
        corpus: Sequence[str] | None = None,
    ) -> ScoreCube:
        mcc = np.asarray(scores, dtype=np.float64)
        if mcc.ndim == 2:
            mcc = mcc[:, None, :]
        tasks = tuple(
            Task(f"task-{c}-{k}", f"Task {c}.{k}", f"Category {c}")
            for c, size in enumerate(sizes)
            for k in range(size)
        )
        models = tuple(
            ModelFacts(
                f"model-{m}",
                f"Model {m}",
                params=None if params is None else params[m],
                corpus="" if corpus is None else corpus[m],
            )
            for m in range(len(mcc))
        )
        return ScoreCube(
            models=models,
            regimes=("full", "10shot", "1shot")[: mcc.shape[1]],
            tasks=tasks,
            mcc=mcc,
            seed_sd=np.full(mcc.shape, np.nan),
            test_rows=np.zeros(len(tasks), dtype=np.int64),
        )

    return make
