"""Results of one problem, filled in fit by fit from whichever program solved it."""

from __future__ import annotations

import numpy as np

from geneb_jax_probes.feature_solver import Ended
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.machines import CODES
from geneb_jax_probes.plan import Fit
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.settings import ACCEPTED_GAP, Settings

__all__ = ["Solutions"]


class Solutions:
    """Arrays ``[S, C, ...]`` of one problem; fits may be written from several threads."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        classes = problem.class_count
        logits = 1 if classes == 2 else classes
        shape = (len(problem.subsets), len(settings.strengths))
        self._classes = problem.classes
        self._settings = settings
        self._coef = np.zeros((*shape, logits, problem.X.shape[1]), settings.dtype)
        self._intercept = np.zeros((*shape, logits), settings.dtype)
        self._objective = np.full(shape, np.nan)
        self._n_iter = np.zeros(shape, np.int64)
        self._grad_norm = np.full(shape, np.nan)
        self._status = np.full(shape, "one_class", dtype="<U12")

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
        ended: Ended,
        at: tuple[int, ...],
        weights: np.ndarray,
        mean: np.ndarray,
    ) -> None:
        """Take one solution over.

        Args:
            fit: The fit.
            c: Position of its C.
            ended: What the program returned.
            at: The solution's place in it.
            weights: ``[logit, d]`` of the centred features.
            mean: What was subtracted from the features ``[d]``.
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
        status = CODES[int(ended.ending[at])]
        if self._settings.exact and status in ("no_progress", "line_search"):
            # Rounding ended the search: at the minimum, or before it.
            near = ended.gap[at] <= ACCEPTED_GAP[self._settings.dtype]
            status = "converged" if near else status
        self._status[place] = status

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
            converged=np.isin(self._status, ("converged", "no_progress")),
            status=self._status,
            solver=self._settings.solver,
            dtype=self._settings.dtype,
        )
