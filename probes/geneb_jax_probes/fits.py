"""What a batch of logistic fits returns, and how it predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from geneb_jax_probes.problem import Dtype, Solver, check_features

__all__ = ["STATUSES", "LogisticFits"]

#: ``converged``: the gradient fell below ``tol``. ``no_progress``: the objective stopped falling
#: (the second stop of L-BFGS-B). ``max_iter``: the step limit. ``line_search``: no step
#: decreased the objective. ``not_finite``: the objective left the range of the dtype.
#: ``one_class``: the subset holds one class, nothing was fitted.
STATUSES = ("converged", "no_progress", "max_iter", "line_search", "not_finite", "one_class")


@dataclass(frozen=True, slots=True)
class LogisticFits:
    """Fits for every (subset, C): ``S`` subsets, ``C`` strengths, ``L`` logits (1 binary, else K).

    Attributes:
        classes_: Sorted distinct labels, length K.
        C: Inverse regularisation strengths ``[C]``.
        coef: ``[S, C, L, d]`` in ``dtype``.
        intercept: ``[S, C, L]``; minus infinity for a class that its subset does not hold.
        objective: ``[S, C]`` float64: mean loss + ``||coef||^2 / (2 C n)`` at the solution.
        n_iter: ``[S, C]`` steps taken.
        grad_norm: ``[S, C]`` largest absolute component of the objective's gradient.
        converged: ``[S, C]`` whether the fit stopped by its own rule.
        status: ``[S, C]``, one of :data:`STATUSES`.
        solver: ``exact`` or ``reference``.
        dtype: The precision the fit ran in.
    """

    classes_: np.ndarray
    C: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    n_iter: np.ndarray
    grad_norm: np.ndarray
    converged: np.ndarray
    status: np.ndarray
    solver: Solver
    dtype: Dtype

    def decision_function(self, X_test: np.ndarray) -> np.ndarray:
        """Logits ``[S, C, n_test]`` (binary) or ``[S, C, n_test, K]``."""
        features = check_features(X_test, "X_test")
        subsets, strengths, logits, width = self.coef.shape
        if features.shape[1] != width:
            raise ValueError(f"X_test has {features.shape[1]} features, the fits have {width}")
        features = features.astype(self.dtype, copy=False)
        columns = features @ self.coef.reshape(-1, width).T
        columns += self.intercept.reshape(-1)
        values = columns.T.reshape(subsets, strengths, logits, len(features))
        return values[:, :, 0] if logits == 1 else np.moveaxis(values, 2, 3)

    def predict_proba(self, X_test: np.ndarray) -> np.ndarray:
        """Class probabilities ``[S, C, n_test, K]``."""
        logits = self.decision_function(X_test)
        if self.coef.shape[2] == 1:
            return np.stack([expit(-logits), expit(logits)], axis=-1)
        return softmax(logits, axis=-1)

    def predict(self, X_test: np.ndarray) -> np.ndarray:
        """Labels ``[S, C, n_test]``, of the type of ``classes_``."""
        return self.classes_[self.predict_codes(X_test)]

    def predict_codes(self, X_test: np.ndarray) -> np.ndarray:
        """Index into ``classes_`` of each prediction, ``[S, C, n_test]``."""
        logits = self.decision_function(X_test)
        if self.coef.shape[2] == 1:
            return (logits > 0).astype(np.intp)
        return np.argmax(logits, axis=-1)
