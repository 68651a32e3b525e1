"""What a solver is asked: everything in which one way of fitting differs from another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import Rules
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.few_rows import FewRows
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.plan import FeatureGroup, Fit
from geneb_jax_probes.problem import Dtype, check_dtype
from geneb_jax_probes.settings import Settings

__all__ = ["Solver"]


class Solver(ABC):
    """One way to minimise; an instance without state, found by its name in ``solvers/choice.py``.

    A solver is given fits that share a matrix: laid out by features (:meth:`over`), or, where rows
    are few and it says so (:attr:`most_rows`), as many small matrices at once
    (:meth:`solve_rows`). What it returns is put together by ``solve.py``.

    Attributes:
        name: What ``solver=`` asks for, and what records say.
        centres: Whether it is given centred features, brought to a harmless size.
        most_rows: Most rows that it solves in their own coordinates; 0 for never.
        default_tol: Largest gradient component to stop at where the caller names none.
        takes_protocol_tol: Whether a benchmark's ``tol`` is part of what it reproduces.
        decides_apart: Whether test rows are decided by one product a fit on the host, in the order
            of sums that scikit-learn's own prediction has there: it decides ties.
    """

    name: ClassVar[str]
    centres: ClassVar[bool]
    most_rows: ClassVar[int] = 0
    default_tol: ClassVar[float] = 0.0
    takes_protocol_tol: ClassVar[bool] = False
    decides_apart: ClassVar[bool] = False

    def default_dtype(self, features: np.dtype | None) -> Dtype:
        """The precision where the caller names none: that of the features, float32 of lists."""
        return "float64" if features == np.float64 else "float32"

    def working_dtype(self, dtype: str | np.dtype | type | None, X: object) -> Dtype:
        """The precision of a fit on X.

        Raises:
            ProbeOptionError: Neither float32 nor float64.
        """
        if dtype is not None:
            return check_dtype(dtype)
        return self.default_dtype(getattr(X, "dtype", None))

    def rules_when_packed(self, dtype: Dtype) -> Rules | None:
        """The rules of its machines where the fits of many tasks may share one program, else None.

        Machines begin at :meth:`start`. Where it :attr:`centres`, they search about a centre of
        the rows and in the coordinates of a factor; else in those of the features as they are.
        """
        del dtype
        return None

    def stands(self, ended: EndPoints, settings: Settings) -> bool:
        """Whether the end of one packed fit is what this solver would say of it by itself."""
        del ended, settings
        return True

    def rows_at_any_width(self, dtype: Dtype) -> int:
        """Most rows of a small matrix that it solves as one however few features it has."""
        del dtype
        return 0

    def start(self, fit: Fit) -> Float[np.ndarray, " logit"]:
        """Intercepts to begin at; the weights begin at zero."""
        return np.zeros(fit.logits)

    def strengths_together(self, logits: int, elements: int, count: int) -> int:
        """Values of C that share one run; must not depend on the lanes there are.

        Args:
            logits: Logits of one value of C, over all fits of the group.
            elements: Numbers in the matrix.
            count: Values of C.
        """
        del logits, elements
        return count

    def stop(self, settings: Settings, lane: Lane, *, max_iter: int | None = None) -> Stop:
        """The limits of a run, or of a part of one with fewer steps."""
        tol = self.default_tol if settings.tol is None else settings.tol
        most = settings.max_iter if max_iter is None else max_iter
        return Stop(lane.state(tol), lane.state(most))

    @abstractmethod
    def over(
        self, group: FeatureGroup, layout: Layout, settings: Settings, lane: Lane
    ) -> Callable[[Columns], EndPoints]:
        """Make ready to solve the fits of one matrix.

        Returns:
            A function that solves some of them; called from several threads.
        """

    def solve_rows(self, matrices: FewRows, settings: Settings) -> EndPoints:
        """Solve small matrices at every strength; weights are multiples of their rows.

        Asked only of solvers with :attr:`most_rows`.
        """
        raise NotImplementedError(f"{self.name} solves nothing in the coordinates of rows")

    def row_weights(
        self,
        matrices: FewRows,
        matrix: int,
        solved: Float[np.ndarray, "strength logit _"],
        settings: Settings,
    ) -> Float[np.ndarray, "strength logit dim"]:
        """Weights of the centred features from what :meth:`solve_rows` gave for one matrix."""
        del settings
        return matrices.weights_of(matrix, solved)

    def ending(self, code: int, gap: float, dtype: Dtype) -> Ending:
        """How a fit ended, from the code and the relative gap that its end point holds."""
        del gap, dtype
        return Ending.of_code(code)
