"""The benchmark's protocol at C = 1 with the reference solver, against scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from probe_peers import PEERS, Fitted, Setting, best_setting, timed, timed_best
from probe_problems import SEEDS, FeatureSet
from sklearn.metrics import matthews_corrcoef

from geneb_jax_probes import ProbeTask, TaskScores, fit_logistic, fit_tasks

__all__ = ["measure_protocol"]

#: Longer fits are steered by rounding, in scikit-learn too; they are compared by their MCC.
SHORT_STEPS = 50
#: A decision value this near zero, relative to the size of its terms, is a tie.
TIE = 1e-9


@dataclass(frozen=True, slots=True)
class PeerRun:
    """scikit-learn's fits of one task in one precision."""

    setting: Setting
    seconds: list[float]  # a subset each: fit, predict and score
    fits: list[Fitted]
    guesses: list[np.ndarray]
    mcc: np.ndarray


def _peer_run(task: ProbeTask, setting: Setting) -> PeerRun:
    X, X_test = task.X_train.astype(setting.dtype), task.X_test.astype(setting.dtype)
    seconds, fits, guesses, found = [], [], [], []

    def one(rows: np.ndarray | None) -> tuple[Fitted, np.ndarray, float]:
        features, labels = (X, task.y_train) if rows is None else (X[rows], task.y_train[rows])
        fit = PEERS["sklearn"](features, labels, 1.0, 1000)
        guess = fit.predict(X_test, np.unique(labels))
        return fit, guess, float(matthews_corrcoef(task.y_test, guess))

    with setting.applied():
        for rows in task.subsets or [None]:
            spent, (fit, guess, mcc) = timed_best(lambda rows=rows: one(rows))
            seconds.append(spent)
            fits.append(fit)
            guesses.append(guess)
            found.append(mcc)
    return PeerRun(setting, seconds, fits, guesses, np.array(found))


def _ties(task: ProbeTask, fit: Fitted) -> np.ndarray:
    """Test rows whose decision is within rounding of a tie of the two best classes."""
    z = task.X_test.astype(np.float64) @ fit.coef.T.astype(np.float64) + fit.intercept
    size = np.abs(task.X_test) @ np.abs(fit.coef).T + np.abs(fit.intercept)
    if z.shape[1] == 1:
        return np.abs(z[:, 0]) <= TIE * size[:, 0]
    top = np.sort(z, axis=1)
    return top[:, -1] - top[:, -2] <= TIE * size.max(axis=1)


def _correct(
    tasks: list[ProbeTask], wide: list[PeerRun], narrow: list[PeerRun], ours: list[TaskScores]
) -> dict[str, Any]:
    """Steps, predictions and scores beside scikit-learn's in float64."""
    names = "fits long_fits steps_differ rows_differ sklearn_float32_rows_differ ties rows".split()
    total = dict.fromkeys(names, 0)
    long_ours, long_peer = [], []
    for task, peer, single, found in zip(tasks, wide, narrow, ours, strict=True):
        assert found.predictions is not None
        for s, fit in enumerate(peer.fits):
            if fit.steps > SHORT_STEPS:
                total["long_fits"] += 1
                long_ours.append(abs(found.mcc[s, 0] - peer.mcc[s]))
                long_peer.append(abs(single.mcc[s] - peer.mcc[s]))
                continue
            ties = _ties(task, fit)
            differs = found.predictions[s, 0] != peer.guesses[s]
            peer_differs = single.guesses[s] != peer.guesses[s]
            total["fits"] += 1
            total["steps_differ"] += int(found.n_iter[s, 0] != fit.steps)
            total["rows"] += len(ties)
            total["ties"] += int(ties.sum())
            total["rows_differ"] += int((differs & ~ties).sum())
            total["sklearn_float32_rows_differ"] += int((peer_differs & ~ties).sum())
    means = [float(np.mean(part)) if part else 0.0 for part in (long_ours, long_peer)]
    return total | {"long_mean_dmcc": means[0], "sklearn_float32_mean_dmcc": means[1]}


def _as_today(narrow: list[PeerRun], ours: list[TaskScores]) -> dict[str, Any]:
    """Steps and MCC beside the installed scikit-learn's on float32 features."""
    steps, apart = [], []
    for peer, found in zip(narrow, ours, strict=True):
        for s, fit in enumerate(peer.fits):
            steps.append(found.n_iter[s, 0] == fit.steps)
            apart.append(abs(found.mcc[s, 0] - peer.mcc[s]))
    return {"fits": len(steps), "steps_equal": int(np.sum(steps)), "mean_dmcc": np.mean(apart)}


def _spent(seconds: list[float], subsets: list[Any], *, full_times: int) -> float:
    full = sum(time for time, rows in zip(seconds, subsets, strict=True) if rows is None)
    return sum(seconds) + (full_times - 1) * full


def measure_protocol(features: FeatureSet) -> dict[str, Any]:
    """Ours in one call over all tasks (cold, then warm) and task by task; scikit-learn by fits.

    The reference procedure fits the full regime once a seed. Those five fits are the same fit:
    it is measured once and counted five times.
    """
    tasks = features.tasks

    def fit_all(dtype: str = "float64", solver: str = "reference") -> list[TaskScores]:
        return fit_tasks(tasks, dtype=dtype, solver=solver, keep_predictions=True)

    cold, ours = timed(fit_all)
    warm = min(timed(fit_all)[0] for _ in range(5))
    narrow32 = fit_all("float32")
    warm32 = min(timed(lambda: fit_all("float32"))[0] for _ in range(5))
    as_today = fit_all("float32", "reference32")
    today = min(timed(lambda: fit_all("float32", "reference32"))[0] for _ in range(5))
    fit_only = min(timed(lambda: [
        fit_logistic(t.X_train, t.y_train, subsets=t.subsets, solver="reference") for t in tasks
    ])[0] for _ in range(1))  # fmt: skip
    rows = []
    wide, narrow = [], []
    for task in tasks:
        alone = [timed(lambda task=task: fit_tasks([task]))[0] for _ in range(6)]
        X = task.X_train if None in (task.subsets or []) else task.X_train[task.subsets[0]]
        y = task.y_train if None in (task.subsets or []) else task.y_train[task.subsets[0]]
        best = best_setting(PEERS["sklearn"], X, y)
        runs = {
            dtype: _peer_run(task, Setting(best.threads, dtype)) for dtype in ("float32", "float64")
        }
        wide.append(runs["float64"])
        narrow.append(runs["float32"])
        subsets = list(task.subsets or [None])
        fastest = min(runs.values(), key=lambda run: sum(run.seconds))
        careful = _spent(fastest.seconds, subsets, full_times=1)
        rows.append(
            {
                "task": task.name,
                "shape": [*task.X_train.shape, len(np.unique(task.y_train))],
                "sklearn_setting": [fastest.setting.threads, fastest.setting.dtype],
                "sklearn_full_steps": runs["float64"].fits[0].steps,
                "ours_alone": min(alone[1:]),
                "careful": careful,
                "reference_procedure": _spent(fastest.seconds, subsets, full_times=len(SEEDS)),
                "ratio_to_careful": careful / min(alone[1:]),
            }
        )
    careful = sum(row["careful"] for row in rows)
    procedure = sum(row["reference_procedure"] for row in rows)
    return {
        "set": features.name,
        "mode": "protocol",
        "ours_cold": cold,
        "ours": warm,
        "ours_float32": warm32,
        "ours_reference32": today,
        "ours_fit_logistic_one_by_one": fit_only,
        "careful": careful,
        "reference_procedure": procedure,
        "ratio_to_careful": careful / warm,
        "ratio_to_reference_procedure": procedure / warm,
        "ratio_of_float32": procedure / warm32,
        "ratio_of_reference32": procedure / today,
        "ratio_with_compilation": procedure / cold,
        "slowest_single_ratio": min(row["ratio_to_careful"] for row in rows),
        "float64": _correct(tasks, wide, narrow, ours),
        "float32": _correct(tasks, wide, narrow, narrow32),
        "reference32": _as_today(narrow, as_today),
        "tasks": rows,
    }
