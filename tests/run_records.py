"""Run records for tests: short to write, whole to read."""

from __future__ import annotations

from typing import Any

from geneb_jax.benchmark import DatasetPin
from geneb_jax.results import ModelFacts, RunRecord, RunSettings, SuiteFacts

__all__ = ["SETTINGS", "run_record"]

SETTINGS = RunSettings(
    probe="logistic",
    solver="reference",
    regimes=("full", "10shot", "1shot"),
    seeds=(13, 17, 42, 123, 997),
    C=(1.0,),
    max_iter=1000,
    tol=1e-4,
    dtype="float64",
    code="1",
)


def run_record(
    *models: ModelFacts, suite: str = "toy", dataset: DatasetPin | None = None, **fields: Any
) -> RunRecord:
    """A record of models under their labels."""
    return RunRecord(
        suite=SuiteFacts(suite, dataset=dataset),
        settings=SETTINGS,
        models={facts.label: facts for facts in models},
        **fields,
    )
