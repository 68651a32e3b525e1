"""The benchmark's score: scikit-learn's ``LogisticRegression(solver="lbfgs")``, step for step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.machines import REFERENCE as RULES
from geneb_jax_probes.lbfgs.machines import Rules
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.few_rows import FewRows
from geneb_jax_probes.matrix.held_matrix import hold
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.plan import FeatureGroup
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["REFERENCE", "Reference"]

#: Logits of one value of C that are enough for the products of a pass over X: fewer share passes
#: with other values of C, more run apart, so that none waits for the slowest.
ENOUGH_LOGITS = 3


class Reference(Solver):
    """From zero, on the features as they are, by scipy's rules to scikit-learn's stop."""

    name = "reference"
    centres = False
    # Beyond, the Gram matrix of a padded few-shot group is no small matrix any more.
    most_rows = 2048
    default_tol = 1e-4
    takes_protocol_tol = True

    def default_dtype(self, features: np.dtype | None) -> Dtype:
        """float64, whatever the features: rows near the boundary decide the score."""
        del features
        return "float64"

    def rules_when_packed(self, dtype: Dtype) -> Rules | None:
        """Its own; float32 is summed otherwise than packed programs sum."""
        return RULES if dtype == "float64" else None

    def strengths_together(self, logits: int, elements: int, count: int) -> int:
        """All of them where the products of one are thin."""
        del elements
        return 1 if logits >= ENOUGH_LOGITS else count

    def over(
        self, group: FeatureGroup, layout: Layout, settings: Settings, lane: Lane
    ) -> Callable[[Columns], EndPoints]:
        """L-BFGS over the matrix on its lane."""
        del group
        held = hold(layout, lane, settings.lane_bytes(lane))
        return lambda columns: held.minimise(
            columns,
            preconditioner=None,
            compute=settings.dtype,
            rules=RULES,
            stop=self.stop(settings, lane),
        )

    def solve_rows(self, matrices: FewRows, settings: Settings) -> EndPoints:
        """L-BFGS over the rows: the same path in fewer variables."""
        stop = self.stop(settings, matrices.lane)
        return matrices.minimise(preconditioned=False, rules=RULES, stop=stop)


REFERENCE = Reference()
