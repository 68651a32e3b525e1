"""The optimum by scikit-learn in float64, kept in the cache folder: it takes minutes to find."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
from probe_peers import Fitted
from sklearn.linear_model import LogisticRegression

from geneb_jax.places import cache_folder
from geneb_jax_probes import ProbeTask

__all__ = ["optimum"]

_TOL = 1e-10
_MAX_ITER = 100_000


def optimum(task: ProbeTask, C: float) -> Fitted:
    """scikit-learn with tol 1e-10: Newton's method for two classes (lbfgs ends above it), lbfgs."""
    X = task.X_train.astype(np.float64)
    binary = len(np.unique(task.y_train)) == 2
    solver = "newton-cholesky" if binary else "lbfgs"
    content = hashlib.sha256(np.ascontiguousarray(task.X_train).view(np.uint8))
    content.update(np.ascontiguousarray(task.y_train).view(np.uint8))
    content.update(f"{solver} {C!r}".encode())
    path = cache_folder() / "bench" / f"optimum-{content.hexdigest()[:24]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=C, solver=solver, tol=_TOL, max_iter=_MAX_ITER)
            model.fit(X, task.y_train)
        np.savez(path, coef=model.coef_, intercept=model.intercept_, steps=model.n_iter_.max())
    kept = np.load(path)
    return Fitted(kept["coef"], kept["intercept"], int(kept["steps"]))
