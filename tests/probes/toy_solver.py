"""A solver outside the library, by scipy: what adding one takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.plan import FeatureGroup
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver


class Toy(Solver):
    """One fit at a time, two classes as two logits of which one stays zero."""

    name = "toy"
    centres = True

    def over(
        self, group: FeatureGroup, layout: Layout, settings: Settings, lane: Lane
    ) -> Callable[[Columns], EndPoints]:
        """Solve with scipy."""
        X = layout.features(0, layout.rows, layout.rows).astype(np.float64)
        hot = np.eye(int(layout.codes.max()) + 1)[layout.codes]

        def one(share: np.ndarray, penalty: float, start: np.ndarray) -> tuple[np.ndarray, ...]:
            binary = len(start) == 1

            def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
                theta = flat.reshape(start.shape)
                z = X @ theta[:, :-1].T + theta[:, -1]
                z = np.hstack([np.zeros((len(z), 1)), z]) if binary else z
                residual = (softmax(z, axis=1) - hot) * share[:, None]
                residual = residual[:, 1:] if binary else residual
                slope = np.column_stack([residual.T @ X, residual.sum(0)])
                slope[:, :-1] += penalty * theta[:, :-1]
                loss = -np.sum(share * np.sum(hot * log_softmax(z, axis=1), axis=1))
                return loss + 0.5 * penalty * np.square(theta[:, :-1]).sum(), slope.ravel()

            end = minimize(objective, start.ravel(), jac=True, options={"gtol": 1e-9})
            theta = end.x.reshape(start.shape)
            code = Ending.CONVERGED.code if end.success else Ending.LINE_SEARCH.code
            numbers = np.array([end.fun, np.abs(end.jac).max(), end.nit, code, 0.0])
            return theta[:, :-1], theta[:, -1], *numbers

        def run(columns: Columns) -> EndPoints:
            shares = layout.columns[:, columns.fits].T
            fits = len(shares)
            solved = [
                one(shares[i % fits], columns.penalty[i // fits, i % fits], start)
                for i, start in enumerate(columns.start)
            ]
            return EndPoints(*(np.stack(part) for part in zip(*solved, strict=True)))

        return run


TOY = Toy()
