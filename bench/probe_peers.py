"""The peers of the probe bench, each at its best thread setting and precision."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import threadpoolctl
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

__all__ = ["PEERS", "Fitted", "Peer", "Setting", "best_setting", "objective", "timed", "timed_best"]

_MOST_RUNS, _ENOUGH_SECONDS = 5, 0.5
_TRIAL_STEPS = 20


@dataclass(frozen=True, slots=True)
class Fitted:
    """One fit: weights ``[K or 1, d]``, intercept, steps (-1 where the peer does not say)."""

    coef: np.ndarray
    intercept: np.ndarray
    steps: int

    def predict(self, X: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Labels of features ``[n, d]``."""
        z = X.astype(self.coef.dtype, copy=False) @ self.coef.T + self.intercept
        best = (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else np.argmax(z, axis=1)
        return classes[best]


@dataclass(frozen=True, slots=True)
class Setting:
    """Threads of the peer's linear algebra, and the precision of its features."""

    threads: int
    dtype: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Limit the threads of OpenBLAS, torch and oneDAL."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            from daal4py import daalinit

            daalinit(self.threads)
        except ImportError:
            pass
        with threadpoolctl.threadpool_limits(self.threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        torch.set_num_threads(before)


#: X, y, C, most steps -> fit, stopping by the peer's default rule.
Peer = Callable[[np.ndarray, np.ndarray, float, int], Fitted]


def sklearn_lbfgs(X: np.ndarray, y: np.ndarray, C: float, max_iter: int) -> Fitted:
    """scikit-learn as the benchmark's harness calls it."""
    model = LogisticRegression(C=C, max_iter=max_iter).fit(X, y)
    return Fitted(model.coef_, model.intercept_, int(np.max(model.n_iter_)))


def intelex(X: np.ndarray, y: np.ndarray, C: float, max_iter: int) -> Fitted:
    """The same on oneDAL, where scikit-learn-intelex is installed."""
    from sklearnex.linear_model import LogisticRegression as OnOneDAL

    model = OnOneDAL(C=C, max_iter=max_iter).fit(X, y)
    return Fitted(np.asarray(model.coef_), np.asarray(model.intercept_), int(np.max(model.n_iter_)))


def torch_lbfgs(X: np.ndarray, y: np.ndarray, C: float, max_iter: int) -> Fitted:
    """torch.optim.LBFGS on the same objective, ten pairs, strong Wolfe, the same gradient stop."""
    classes, codes = np.unique(y, return_inverse=True)
    features, target = torch.from_numpy(X), torch.from_numpy(codes)
    logits = 1 if len(classes) == 2 else len(classes)
    W = torch.zeros(logits, X.shape[1], dtype=features.dtype, requires_grad=True)
    b = torch.zeros(logits, dtype=features.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [W, b],
        max_iter=max_iter,
        max_eval=4 * max_iter,
        tolerance_grad=1e-4,
        tolerance_change=0.0,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    soft = target.to(features.dtype)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        z = torch.addmm(b, features, W.T)
        if logits == 1:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], soft)
        else:
            loss = torch.nn.functional.cross_entropy(z, target)
        loss = loss + (W * W).sum() / (2 * C * len(features))
        loss.backward()
        return loss

    optimiser.step(closure)
    steps = int(optimiser.state[W]["n_iter"])
    return Fitted(W.detach().numpy(), b.detach().numpy(), steps)


PEERS: dict[str, Peer] = {"sklearn": sklearn_lbfgs, "torch": torch_lbfgs}
try:
    import sklearnex  # noqa: F401
except ImportError:
    pass
else:
    PEERS["intelex"] = intelex


def best_setting(peer: Peer, X: np.ndarray, y: np.ndarray) -> Setting:
    """The faster of 1 and 2 threads, float32 and float64, by the best of two short fits each."""
    found: dict[Setting, float] = {}
    for threads, dtype in itertools.product((1, 2), ("float32", "float64")):
        setting = Setting(threads, dtype)
        features = X.astype(dtype)
        with setting.applied():
            for _ in range(2):
                seconds = timed(lambda data=features: peer(data, y, 1.0, _TRIAL_STEPS))[0]
                found[setting] = min(seconds, found.get(setting, np.inf))
    return min(found, key=lambda setting: found[setting])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def timed_best(work: Callable[[], Any]) -> tuple[float, Any]:
    """The best of up to five runs, fewer where they are long: others may use the machine too."""
    best, result = timed(work)
    spent, runs = best, 1
    while runs < _MOST_RUNS and spent < _ENOUGH_SECONDS:
        seconds = timed(work)[0]
        best, spent, runs = min(best, seconds), spent + seconds, runs + 1
    return best, result


def objective(X: np.ndarray, y: np.ndarray, C: float, coef: np.ndarray, b: np.ndarray) -> float:
    """Mean loss + ``||coef||^2 / (2 C n)``, in float64 whatever the fit ran in."""
    codes = np.unique(y, return_inverse=True)[1]
    coef = coef.astype(np.float64)
    z = X.astype(np.float64, copy=False) @ coef.T + b.astype(np.float64)
    if z.shape[1] == 1:
        loss = np.logaddexp(0.0, np.where(codes > 0, -z[:, 0], z[:, 0])).mean()
    else:
        loss = -log_softmax(z, axis=1)[np.arange(len(z)), codes].mean()
    return float(loss + np.square(coef).sum() / (2 * C * len(X)))
