"""The records of a full grid, what is derived from them, and what one more model costs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["add_a_model", "make_and_derive"]

_MODELS, _C, _SEEDS = 40, (0.01, 0.1, 1.0, 10.0, 100.0), (13, 17, 42, 123, 997)


def make_and_derive(out: Path) -> dict[str, Any]:
    """Write the records of 40 models x 100 tasks x 3 regimes x 5 C x 5 seeds; derive the tables."""
    began, flush = time.perf_counter(), os.fsync
    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # this is not what is measured
    for number in range(_MODELS - 1):
        _write_model(out, number)
    os.fsync = flush
    return {"records_s": round(time.perf_counter() - began, 1), **_derive(out)}


def add_a_model(out: Path) -> dict[str, Any]:
    """Write the records of one more model; derive the tables again."""
    began = time.perf_counter()
    _write_model(out, _MODELS - 1)
    return {"added_records_s": round(time.perf_counter() - began, 1), **_derive(out)}


def _write_model(out: Path, number: int) -> None:
    import numpy as np

    from geneb_jax.benchmark import load_suite
    from geneb_jax.identity import EncoderIdentity
    from geneb_jax.results import (
        ModelFacts,
        Records,
        ScoreRow,
        TaskFacts,
        UnitKey,
    )
    from geneb_jax.results.folder_contents import keep_model_facts, keep_task_facts
    from geneb_jax_probes import CODE_VERSION

    suite, records = load_suite("geneb"), Records(out)
    protocol, chance = suite.protocol, np.random.default_rng(number)
    name = f"model-{number:02d}"
    identity = EncoderIdentity(name, "r", "none", "t", "mean", -1, "float32", "bench/1")
    keep_model_facts(
        records,
        ModelFacts(
            label=name,
            name=name,
            identity=identity,
            variant=(),
            identity_short=identity.short,
            weights="none",
        ),
    )
    for task in suite.tasks:
        fingerprint = task.task_id.encode().hex()[:64].ljust(64, "0")
        keep_task_facts(records, task.task_id, TaskFacts(fingerprint=fingerprint))
        for regime in protocol.regimes:
            key = UnitKey(
                task_id=task.task_id,
                regime=regime.name,
                shots=regime.shots,
                embedding=identity.as_dict(),
                task_fingerprint=fingerprint,
                seeds=_SEEDS,
                C=_C,
                probe="logistic",
                solver="reference",
                tol=protocol.tol,
                max_iter=protocol.max_iter,
                dtype="float64",
                code=CODE_VERSION,
            )
            scores = chance.random((len(_C), len(_SEEDS), 6))
            records.add(
                key,
                [
                    ScoreRow(
                        name, task.task_id, task.category, regime.name, seed, C, "logistic",
                        "reference", *scores[c, s, :3].tolist(), 1000, 500, 2, 17, 1e-5,
                        "converged", identity=identity.short, auroc=float(scores[c, s, 3]),
                        auprc=float(scores[c, s, 4]), brier=float(scores[c, s, 5]),
                    )
                    for c, C in enumerate(_C)
                    for s, seed in enumerate(_SEEDS)
                ],
            )  # fmt: skip


def _derive(out: Path) -> dict[str, Any]:
    """Seconds of each step of what a run does with its folder at the end."""
    from bench.scale import peak_mb
    from geneb_jax.analysis import write_summary_of
    from geneb_jax.benchmark import load_suite
    from geneb_jax.report import write_report
    from geneb_jax.results import read_contents, write_scores_csv
    from geneb_jax_probes import CODE_VERSION

    suite, found = load_suite("geneb"), {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began, cpu = time.perf_counter(), time.process_time()
        result = step()
        found[f"{name}_s"] = round(time.perf_counter() - began, 2)
        found[f"{name}_cpu_s"] = round(time.process_time() - cpu, 2)
        found[f"{name}_peak_mb"] = round(peak_mb())
        return result

    contents = timed("assemble", lambda: read_contents(out, suite, code=CODE_VERSION, keep=True))
    timed("scores_csv", lambda: write_scores_csv(out, contents.rows, keep=True))
    timed("summary_csv", lambda: write_summary_of(out, suite, contents.rows, keep=True))
    timed("report", lambda: write_report(out, suite=suite, scores=contents.rows, run=None))
    return {"score_rows": len(contents.rows), **found}
