"""The logistic probe as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from geneb_jax_probes.estimators.base import ProbeClassifier, checked_labels
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.logistic import fit_logistic
from geneb_jax_probes.problem import ClassWeight, check_sample_weight

__all__ = ["LinearProbe", "LogisticProbe", "Standardisation"]


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Mean and standard deviation of each feature ``[d]``, float64; 1 for a constant feature's."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, weights: np.ndarray | None) -> Standardisation:
        """Of features ``[n, d]`` with row weights ``[n]`` or None."""
        mean = np.average(X.astype(np.float64, copy=False), axis=0, weights=weights)
        spread = np.sqrt(np.average(np.square(X - mean), axis=0, weights=weights))
        return cls(mean, np.where(spread > 1e-12 * np.abs(mean), spread, 1.0))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Standardised features, in the dtype of X."""
        return ((X - self.mean) / self.spread).astype(X.dtype)


class LinearProbe(ProbeClassifier):
    """Predictions of one linear fit."""

    coef_: np.ndarray
    intercept_: np.ndarray

    def _take(self, fits: LogisticFits, s: int, c: int, scale: Standardisation | None) -> None:
        """Keep one fit, its weights in units of the raw features."""
        coef, intercept = fits.coef[s, c], fits.intercept[s, c]
        if scale is not None:
            wide = coef / scale.spread
            coef = wide.astype(coef.dtype)
            intercept = (intercept - wide @ scale.mean).astype(intercept.dtype)
        self.classes_ = fits.classes_
        self.coef_ = coef
        self.intercept_ = intercept
        self.n_iter_ = np.array([fits.n_iter[s, c]])
        self.status_ = str(fits.status[s, c])

    def decision_function(self, X: object) -> np.ndarray:
        """Logits: ``[n]`` for two classes, else ``[n, K]``."""
        logits = self._test_features(X) @ self.coef_.T + self.intercept_
        return logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: object) -> np.ndarray:
        """The class with the largest logit; at a logit of 0 the first of two."""
        logits = self.decision_function(X)
        best = (logits > 0).astype(np.intp) if logits.ndim == 1 else np.argmax(logits, axis=1)
        return self.classes_[best]

    def predict_proba(self, X: object) -> np.ndarray:
        """Class probabilities ``[n, K]``."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            return np.stack([expit(-logits), expit(logits)], axis=1)
        return softmax(logits, axis=1)


class LogisticProbe(LinearProbe):
    """L2-regularised logistic regression with an unpenalised intercept.

    The objective is that of scikit-learn's ``LogisticRegression(C=C)``; with ``solver="exact"`` it
    is at its minimum, with ``solver="reference"`` where scikit-learn's lbfgs stops.

    Args:
        C: Inverse regularisation strength.
        solver: ``exact``, ``optax``, ``reference`` (scikit-learn up to 1.8) or ``reference32``
            (1.9 and later).
        tol: Gradient component to stop at; None for the solver's own rule.
        max_iter: Step limit.
        standardize: Fit on features of mean 0 and standard deviation 1, as behind scikit-learn's
            ``StandardScaler``. ``coef_`` stays in units of the raw features.
        class_weight: As in scikit-learn: None, ``balanced``, or a weight a class.
        dtype: ``float32`` or ``float64``; None for that of X.

    Attributes:
        classes_: Sorted labels.
        coef_: ``[1, d]`` for two classes, else ``[K, d]``.
        intercept_: ``[1]`` or ``[K]``.
        n_iter_: Steps taken ``[1]``.
        status_: How the fit ended, a word of ``Ending``.
        n_features_in_: d.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        solver: str = "exact",
        tol: float | None = None,
        max_iter: int = 1000,
        standardize: bool = False,
        class_weight: ClassWeight = None,
        dtype: str | None = None,
    ) -> None:
        self.C = C
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.standardize = standardize
        self.class_weight = class_weight
        self.dtype = dtype

    def fit(self, X: object, y: object, sample_weight: object = None) -> LogisticProbe:
        """Fit on features ``[n, d]`` and labels ``[n]``, with optional row weights ``[n]``."""
        labels = checked_labels(y)
        features = self._training_features(X)
        weights = check_sample_weight(sample_weight, len(features))
        scale = Standardisation.of(features, weights) if self.standardize else None
        features = features if scale is None else scale.apply(features)
        fits = fit_logistic(
            features,
            labels,
            C=self.C,
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
            sample_weight=weights,
            class_weight=self.class_weight,
            dtype=self.dtype,
        )
        self._take(fits, 0, 0, scale)
        return self
