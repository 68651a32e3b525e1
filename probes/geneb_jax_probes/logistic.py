"""Batched L2-regularised logistic regression: many subsets and many C over one feature matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.problem import ClassWeight, check_C, make_problem
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solve import solve_problems
from geneb_jax_probes.solvers.choice import find_solver

__all__ = ["fit_logistic"]


def fit_logistic(
    X: ArrayLike,
    y: ArrayLike,
    *,
    C: float | Sequence[float] | np.ndarray = (1.0,),
    subsets: Sequence[ArrayLike | None] | None = None,
    solver: str = "exact",
    tol: float | None = None,
    max_iter: int = 1000,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
    dtype: str | np.dtype | type | None = None,
    memory_bytes: int | None = None,
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
        solver: ``exact`` finds the minimum; ``reference`` stops where scikit-learn's stops up to
            its 1.8, ``reference32`` where it stops from 1.9 on (float32 features); ``optax`` finds
            the minimum by other means, slowly; or one that was registered.
        tol: Largest absolute gradient component to stop at; default 1e-4 for the references, for
            the others a rule of their own.
        max_iter: Most steps.
        sample_weight: Row weights ``[n]``.
        class_weight: As in scikit-learn.
        dtype: ``float32`` or ``float64``; default float64 for ``reference``, else that of X; under
            ``reference32`` float64 features are fitted as by ``reference``, as scikit-learn does.
        memory_bytes: Most bytes of features that a device (on CPU: a core) holds at a time; larger
            ones are streamed in blocks of rows. Default: half of its memory.

    Returns:
        The fits, ``[S, C]`` of them.

    Raises:
        ProbeDataError: Unusable data, rows named.
        ProbeOptionError: An option out of range.
    """
    strengths = check_C(C)
    chosen = find_solver(solver)
    problem = make_problem(X, y, subsets, sample_weight, class_weight)
    working = chosen.working_dtype(dtype, problem.X)
    settings = Settings(strengths, tol, max_iter, working, memory_bytes)
    return solve_problems([problem], chosen, settings)[0]
