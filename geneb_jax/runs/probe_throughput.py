"""Seconds of batched probes on this device, on features of any size."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from geneb_jax.data import few_shot_rows
from geneb_jax_probes import ProbeTask, fit_tasks
from geneb_jax_probes.synthetic import decaying_features

__all__ = ["measure_probes"]

_SEEDS = (13, 17, 42, 123, 997)
_TEST_ROWS = 2000


def measure_probes(
    rows: int,
    dim: int,
    classes: int,
    task_count: int,
    strengths: tuple[float, ...],
    repeats: int,
    *,
    peer: bool,
) -> dict[str, Any]:
    """Time the benchmark's protocol and a sweep over C on made-up embeddings.

    The protocol is the full regime, 10-shot and 1-shot with five seeds, C = 1, by the reference
    solver; the sweep is the full regime for every C by the exact solver. Both predict and score.

    Args:
        rows: Training rows of a task.
        dim: Width of the embeddings.
        classes: Classes.
        task_count: Tasks fitted in one call.
        strengths: Values of C of the sweep.
        repeats: Timed calls after the first, of which the median is reported.
        peer: Whether to time scikit-learn's loop too.

    Returns:
        The device, the sizes, and for each part its fits and seconds.

    Raises:
        ImportError: with ``peer``, if scikit-learn is not installed.
    """
    protocol, sweep = [], []
    for number in range(task_count):
        X, y = decaying_features(rows + _TEST_ROWS, dim, classes, seed=number)
        arrays = (X[:rows], y[:rows], X[rows:], y[rows:])
        draws = [few_shot_rows(y[:rows], shots, seed) for shots in (10, 1) for seed in _SEEDS]
        protocol.append(ProbeTask(*arrays, [None, *draws]))
        sweep.append(ProbeTask(*arrays))
    parts = [
        _timed(
            "protocol, reference solver",
            task_count * (1 + 2 * len(_SEEDS)),
            lambda: fit_tasks(protocol, solver="reference"),
            repeats,
            _sklearn_seconds(protocol, (1.0,)) if peer else None,
        ),
        _timed(
            "sweep over C, exact solver",
            task_count * len(strengths),
            lambda: fit_tasks(sweep, C=strengths, solver="exact"),
            repeats,
            _sklearn_seconds(sweep, strengths) if peer else None,
        ),
    ]
    return {
        "device": jax.devices()[0].device_kind,
        "rows": rows,
        "dim": dim,
        "classes": classes,
        "tasks": task_count,
        "C": list(strengths),
        "parts": parts,
    }


def _timed(
    what: str, fits: int, call: Callable[[], Any], repeats: int, peer: float | None
) -> dict[str, Any]:
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {
        "what": what,
        "fits": fits,
        "first_seconds": seconds[0],
        "seconds": statistics.median(seconds[1:]),
        "sklearn_seconds": peer,
    }


def _sklearn_seconds(tasks: Sequence[ProbeTask], strengths: tuple[float, ...]) -> float:
    """Every distinct fit once, as the benchmark's harness makes it, with this process's threads."""
    from sklearn.linear_model import LogisticRegression

    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the step limit, which is the protocol's
        for task in tasks:
            X, y = np.asarray(task.X_train), np.asarray(task.y_train)
            for rows in task.subsets or [None]:
                chosen = np.arange(len(y)) if rows is None else np.asarray(rows)
                for C in strengths:
                    model = LogisticRegression(C=C, max_iter=1000)
                    model.fit(X[chosen], y[chosen]).predict(task.X_test)
    return time.perf_counter() - start
