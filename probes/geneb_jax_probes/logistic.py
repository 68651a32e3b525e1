"""Batched L2-regularised logistic regression: many subsets and many C over one feature matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.problem import (
    ClassWeight,
    Dtype,
    Problem,
    Solver,
    check_C,
    check_solver,
    make_problem,
    working_dtype,
)
from geneb_jax_probes.scipy_driver import minimise

__all__ = ["fit_logistic", "fit_problem"]

_REFERENCE_TOL = 1e-4
_EXACT_TOL = 1e-9


def fit_problem(
    problem: Problem,
    strengths: np.ndarray,
    *,
    solver: Solver,
    tol: float | None,
    max_iter: int,
    dtype: Dtype,
) -> LogisticFits:
    """Fit every (subset, C) of a checked problem."""
    classes = problem.class_count
    logits = 1 if classes == 2 else classes
    shape = (len(problem.subsets), len(strengths))
    width = problem.X.shape[1]
    coef = np.zeros((*shape, logits, width), dtype)
    intercept = np.zeros((*shape, logits), dtype)
    objective = np.full(shape, np.nan)
    n_iter = np.zeros(shape, np.int64)
    grad_norm = np.full(shape, np.nan)
    status = np.full(shape, "one_class", dtype="<U12")
    if tol is None:
        tol = _REFERENCE_TOL if solver == "reference" else _EXACT_TOL
    ftol = 64 * np.finfo(float).eps if solver == "reference" else 0.0
    steps = max_iter if solver == "reference" else max(max_iter, 15000)
    for s in range(shape[0]):
        rows = problem.subset_rows(s)
        present, codes = np.unique(problem.codes[rows], return_inverse=True)
        if len(present) == 1:
            intercept[s] = (
                (np.inf if present[0] else -np.inf)
                if logits == 1
                else np.where(np.arange(classes) == present[0], 0.0, -np.inf)
            )
            continue
        X = problem.X[rows].astype("float64" if solver == "exact" else dtype, copy=False)
        for c, strength in enumerate(strengths):
            found = minimise(
                X,
                codes,
                problem.row_weights(s),
                float(strength),
                len(present),
                tol=tol,
                max_iter=steps,
                ftol=ftol,
            )
            if logits == len(found.intercept):
                coef[s, c], intercept[s, c] = found.coef, found.intercept
            else:
                intercept[s, c] = -np.inf
                targets = present[1:] if len(present) == 2 else present
                intercept[s, c, present] = 0.0
                coef[s, c, targets], intercept[s, c, targets] = found.coef, found.intercept
            objective[s, c], n_iter[s, c] = found.objective, found.n_iter
            grad_norm[s, c], status[s, c] = found.grad_norm, found.status
    converged = (status == "converged") | (status == "no_progress")
    return LogisticFits(
        problem.classes,
        strengths,
        coef,
        intercept,
        objective,
        n_iter,
        grad_norm,
        converged,
        status,
        solver,
        dtype,
    )


def fit_logistic(
    X: Any,
    y: Any,
    *,
    C: float | Sequence[float] = (1.0,),
    subsets: Sequence[Any] | None = None,
    solver: Solver = "exact",
    tol: float | None = None,
    max_iter: int = 1000,
    sample_weight: Any = None,
    class_weight: ClassWeight = None,
    dtype: str | np.dtype | type | None = None,
) -> LogisticFits:
    """Fit multinomial or binary logistic regression for every subset of rows and every C.

    Equivalent to scikit-learn's ``LogisticRegression(C=c).fit(X[rows], y[rows])`` for every
    ``rows`` of ``subsets`` and ``c`` of ``C``.

    Args:
        X: Features ``[n, d]``.
        y: Labels ``[n]``, any sortable ints or strings.
        C: Inverse regularisation strengths.
        subsets: Row numbers of each fit (few-shot draws, folds); an entry may be None for all
            rows; None for one fit on all rows.
        solver: ``exact`` finds the minimum; ``reference`` stops where scikit-learn's stops.
        tol: Largest absolute gradient component to stop at; default 1e-4 for ``reference``.
        max_iter: Most steps of the reference solver.
        sample_weight: Row weights ``[n]``.
        class_weight: As in scikit-learn.
        dtype: ``float32`` or ``float64``; default float64 for ``reference``, else that of X.

    Returns:
        The fits, ``[S, C]`` of them.

    Raises:
        ProbeDataError: Unusable data, rows named.
        ProbeOptionError: An option out of range.
    """
    strengths = check_C(C)
    chosen = check_solver(solver)
    problem = make_problem(X, y, subsets, sample_weight, class_weight)
    return fit_problem(
        problem,
        strengths,
        solver=chosen,
        tol=tol,
        max_iter=max_iter,
        dtype=working_dtype(dtype, problem.X, chosen),
    )
