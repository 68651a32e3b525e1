"""What a batch of logistic fits returns, how it predicts, and how it is put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import expit, softmax

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.plan import Fit
from geneb_jax_probes.problem import Dtype, Problem, check_features
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["FitCollector", "LogisticFits"]

_CONVERGED = [ending for ending in Ending if ending.converged]


@dataclass(frozen=True, slots=True)
class LogisticFits:
    """Fits for every (subset, C): ``S`` subsets, ``C`` strengths, ``L`` logits (1 binary, else K).

    Attributes:
        classes_: Sorted distinct labels, length K.
        C: Inverse regularisation strengths.
        coef: In ``dtype``.
        intercept: Minus infinity for a class that its subset does not hold.
        objective: float64: mean loss + ``||coef||^2 / (2 C n)`` at the solution.
        n_iter: Steps taken.
        grad_norm: Largest absolute component of the objective's gradient.
        status: How each fit ended, a word of :class:`~geneb_jax_probes.endings.Ending`.
        solver: The name of the solver.
        dtype: The precision the fit ran in.
        apart: Whether decision values are one product a fit (see
            :attr:`~geneb_jax_probes.solvers.solver.Solver.decides_apart`), not one for all.
    """

    classes_: Shaped[np.ndarray, " class"]
    C: Float[np.ndarray, " C"]
    coef: Float[np.ndarray, "S C L d"]
    intercept: Float[np.ndarray, "S C L"]
    objective: Float[np.ndarray, "S C"]
    n_iter: Int[np.ndarray, "S C"]
    grad_norm: Float[np.ndarray, "S C"]
    status: Shaped[np.ndarray, "S C"]
    solver: str
    dtype: Dtype
    apart: bool = False

    @property
    def converged(self) -> Bool[np.ndarray, "S C"]:
        """Whether each fit stopped by a rule that it was meant to stop by."""
        return np.isin(self.status, _CONVERGED)

    def decision_function(
        self, X_test: Shaped[np.ndarray, "n d"]
    ) -> Float[np.ndarray, "S C n"] | Float[np.ndarray, "S C n K"]:
        """Logits ``[S, C, n_test]`` (binary) or ``[S, C, n_test, K]``."""
        features = check_features(X_test, "X_test")
        subsets, strengths, logits, width = self.coef.shape
        if features.shape[1] != width:
            raise ValueError(f"X_test has {features.shape[1]} features, the fits have {width}")
        features = features.astype(self.dtype, copy=False)
        if self.apart:
            flat = self.coef.reshape(-1, logits, width)
            columns = np.concatenate([features @ coef.T for coef in flat], axis=1)
        else:
            columns = features @ self.coef.reshape(-1, width).T
        columns += self.intercept.reshape(-1)
        values = columns.T.reshape(subsets, strengths, logits, len(features))
        return values[:, :, 0] if logits == 1 else np.moveaxis(values, 2, 3)

    def predict_proba(self, X_test: Shaped[np.ndarray, "n d"]) -> Float[np.ndarray, "S C n K"]:
        """Class probabilities ``[S, C, n_test, K]``."""
        logits = self.decision_function(X_test)
        if self.coef.shape[2] == 1:
            return np.stack([expit(-logits), expit(logits)], axis=-1)
        return softmax(logits, axis=-1)

    def predict(self, X_test: Shaped[np.ndarray, "n d"]) -> Shaped[np.ndarray, "S C n"]:
        """Labels ``[S, C, n_test]``, of the type of ``classes_``."""
        return self.classes_[self.predict_codes(X_test)]

    def predict_codes(self, X_test: Shaped[np.ndarray, "n d"]) -> Int[np.ndarray, "S C n"]:
        """Index into ``classes_`` of each prediction, ``[S, C, n_test]``."""
        return self.codes_of(self.decision_function(X_test))

    def codes_of(
        self, logits: Float[np.ndarray, "S C n"] | Float[np.ndarray, "S C n K"]
    ) -> Int[np.ndarray, "S C n"]:
        """The same from decision values."""
        if self.coef.shape[2] == 1:
            return (logits > 0).astype(np.intp)
        return np.argmax(logits, axis=-1)


class FitCollector:
    """The fits of one problem, filled in as they end; from several threads, each its own."""

    def __init__(self, problem: Problem, solver: Solver, settings: Settings) -> None:
        classes = problem.class_count
        logits = 1 if classes == 2 else classes
        shape = (len(problem.subsets), len(settings.strengths))
        self._classes = problem.classes
        self._solver = solver
        self._settings = settings
        self._coef = np.zeros((*shape, logits, problem.X.shape[1]), settings.dtype)
        self._intercept = np.zeros((*shape, logits), settings.dtype)
        self._objective = np.full(shape, np.nan)
        self._n_iter = np.zeros(shape, np.int64)
        self._grad_norm = np.full(shape, np.nan)
        self._status = np.full(shape, Ending.ONE_CLASS, dtype="<U12")

    def put_one_class(self, fit: Fit) -> None:
        """A subset with one class: always that class."""
        only = fit.present[0]
        if self._intercept.shape[-1] == 1:
            self._intercept[fit.subset] = np.inf if only else -np.inf
        else:
            self._intercept[fit.subset] = -np.inf
            self._intercept[fit.subset, :, only] = 0.0

    def put(
        self,
        fit: Fit,
        c: int,
        ended: EndPoints,
        at: tuple[int, ...],
        weights: Float[np.ndarray, "logit dim"],
        mean: Float[np.ndarray, " dim"],
    ) -> None:
        """Take one solution over.

        Args:
            fit: The fit.
            c: Position of its C.
            ended: What the solver returned.
            at: The solution's place in it.
            weights: Of the centred features.
            mean: What was subtracted from the features.
        """
        place = (fit.subset, c)
        coef, intercept = weights, ended.intercept[at] - weights @ mean
        if self._intercept.shape[-1] == len(intercept):
            self._coef[place], self._intercept[place] = coef, intercept
        else:
            # Classes that the subset lacks are never predicted; two of many: 0 and the one logit.
            targets = fit.present[1:] if len(fit.present) == 2 else fit.present
            self._intercept[place] = -np.inf
            self._intercept[(*place, fit.present)] = 0.0
            self._coef[(*place, targets)] = coef
            self._intercept[(*place, targets)] = intercept
        self._objective[place] = ended.value[at]
        self._n_iter[place] = int(ended.steps[at])
        self._grad_norm[place] = ended.norm[at]
        self._status[place] = self._solver.ending(
            int(ended.ending[at]), float(ended.gap[at]), self._settings.dtype
        )

    def finished(self) -> LogisticFits:
        """The fits, once all are in."""
        return LogisticFits(
            classes_=self._classes,
            C=self._settings.strengths,
            coef=self._coef,
            intercept=self._intercept,
            objective=self._objective,
            n_iter=self._n_iter,
            grad_norm=self._grad_norm,
            status=self._status,
            solver=self._solver.name,
            dtype=self._settings.dtype,
            apart=self._solver.decides_apart,
        )
