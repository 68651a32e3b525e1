"""Rows of made-up models for the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from geneb_jax.benchmark import Suite, load_suite
from geneb_jax.results import ScoreRow

#: Names that must reach no interpreter: HTML, a terminal, a spreadsheet, LaTeX, Markdown, SVG.
HOSTILE = (
    "<script>document.title='owned'</script>",
    "=HYPERLINK(1)",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>'",
    "{{ 7*7 }}{% raw %}",
    "]]></style><b>",
    r"\input{/etc/passwd} $x_1$ & 100% ~^#",
    "| a | [link](javascript:alert(1)) `code` |",
    "x" * 200,
)


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """The names above."""
    return HOSTILE


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[ScoreRow]]:
    """Rows of a model on every task, regime and seed of a suite, reproducible by its name."""

    def make(suite: Suite, model_id: str = "mine", *, level: float = 0.5, **changes: Any):
        rng = np.random.default_rng(sum(map(ord, model_id)))
        rows = []
        for task in suite.tasks:
            for regime, share in zip(suite.protocol.regimes, (1.0, 0.5, 0.2), strict=True):
                base = level * share + 0.15 * rng.standard_normal()
                for seed in suite.protocol.seeds:
                    step = 0.03 * rng.standard_normal() if regime.seeded else 0.0
                    columns: dict[str, Any] = {
                        "model_id": model_id,
                        "task_id": task.task_id,
                        "category": task.category,
                        "regime": regime.name,
                        "seed": seed,
                        "C": 1.0,
                        "probe": "logistic",
                        "solver": "reference",
                        "mcc": float(np.clip(base + step, -1, 1)),
                        "accuracy": 0.5,
                        "macro_f1": 0.5,
                        "n_train": 100,
                        "n_test": task.test_rows or 401,
                        "n_classes": 2,
                        "n_iter": 7,
                        "grad_norm": 1e-5,
                        "status": "converged",
                    }
                    rows.append(ScoreRow(**{**columns, **changes}))
        return rows

    return make


@pytest.fixture(scope="session")
def geneb() -> Suite:
    """The benchmark."""
    return load_suite("geneb")
