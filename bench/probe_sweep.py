"""A sweep of five C over the full regime with the exact solver, against every peer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from probe_optimum import optimum
from probe_peers import PEERS, Fitted, best_setting, objective, timed, timed_best
from probe_problems import SEEDS, FeatureSet

from geneb_jax_probes import LogisticFits, ProbeTask, fit_logistic, fit_tasks

__all__ = ["STRENGTHS", "measure_sweep"]

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def _gram_seconds(X: np.ndarray) -> float:
    """One float32 product ``X^T X`` on the device, best of three."""
    features = jax.device_put(X)
    product = jax.jit(lambda a: a.T @ a)
    jax.block_until_ready(product(features))
    return min(timed(lambda: jax.block_until_ready(product(features)))[0] for _ in range(3))


def _against(task: ProbeTask, fits: LogisticFits, best: list[Fitted]) -> dict[str, Any]:
    """How far the objective is above the optimum's, and how many test rows are predicted alike."""
    classes = np.unique(task.y_train)
    excess, agreeing = [], 0
    for c, (C, peer) in enumerate(zip(STRENGTHS, best, strict=True)):
        data = (task.X_train, task.y_train, C)
        lowest = objective(*data, peer.coef, peer.intercept)
        mine = objective(*data, fits.coef[0, c], fits.intercept[0, c])
        excess.append((mine - lowest) / lowest)
        guess = Fitted(fits.coef[0, c], fits.intercept[0, c], 0).predict(task.X_test, classes)
        agreeing += int((guess == peer.predict(task.X_test, classes)).sum())
    return {
        "worst_objective_excess": max(excess),
        "agreeing_rows": agreeing,
        "rows": len(STRENGTHS) * len(task.X_test),
        "steps": fits.n_iter[0].tolist(),
        "status": fits.status[0].tolist(),
    }


def _one(task: ProbeTask, peers: list[str], *, check: bool) -> dict[str, Any]:
    X, y = task.X_train, task.y_train

    def ours(dtype: str = "float32") -> LogisticFits:
        return fit_logistic(X, y, C=STRENGTHS, dtype=dtype)

    cold, fits = timed(ours)
    warm = min(timed(ours)[0] for _ in range(5))
    gram = _gram_seconds(X)
    row: dict[str, Any] = {
        "task": task.name,
        "shape": [*X.shape, len(np.unique(y))],
        "ours_cold": cold,
        "ours": warm,
        "gram": gram,
        "grams": warm / gram,
    }
    for name in peers:
        setting = best_setting(PEERS[name], X, y)
        features = X.astype(setting.dtype)
        with setting.applied():
            spent = [
                timed_best(lambda C=C, x=features, name=name: PEERS[name](x, y, C, 1000))
                for C in STRENGTHS
            ]
        seconds = sum(one for one, _ in spent)
        row[name] = seconds
        row[f"{name}_setting"] = [setting.threads, setting.dtype]
        row[f"{name}_steps"] = [fit.steps for _, fit in spent]
        row[f"ratio_to_{name}"] = seconds / warm
    if check:
        best = [optimum(task, C) for C in STRENGTHS]
        row["float32"] = _against(task, fits, best)
        row["float64"] = _against(task, ours("float64"), best)
    return row


def measure_sweep(features: FeatureSet, peers: list[str], *, check: bool) -> dict[str, Any]:
    """All tasks in one call, scored, and every task by itself, not scored.

    Peers fit one at a time and do not score. The careful loop is each peer's; five seeds repeat it
    five times.
    """
    rows = [_one(task, peers, check=check) for task in features.tasks]
    total = {key: sum(row[key] for row in rows) for key in ("ours", "ours_cold", "gram", *peers)}
    if len(rows) > 1:
        tasks = [replace(task, subsets=None) for task in features.tasks]

        def all_at_once() -> object:
            return fit_tasks(tasks, C=STRENGTHS, solver="exact", dtype="float32")

        total["ours_one_by_one"] = total["ours"]
        total["ours"] = min(timed(all_at_once)[0] for _ in range(5))
    ratios = {f"ratio_to_{name}": total[name] / total["ours"] for name in peers}
    record = {"set": features.name, "mode": "sweep"} | total | ratios
    record["grams"] = total["ours"] / total["gram"]
    record["ratio_to_reference_procedure"] = len(SEEDS) * ratios["ratio_to_sklearn"]
    record["slowest_single_ratio"] = min(row["ratio_to_sklearn"] for row in rows)
    if check:
        for dtype in ("float32", "float64"):
            parts = [row[dtype] for row in rows]
            record[dtype] = {
                "worst_objective_excess": max(part["worst_objective_excess"] for part in parts),
                "agreement": sum(p["agreeing_rows"] for p in parts) / sum(p["rows"] for p in parts),
            }
    return record | {"tasks": rows}
