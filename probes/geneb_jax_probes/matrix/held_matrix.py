"""A feature matrix as the machines see it: held whole by its lane, or streamed through it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float

from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import Rules
from geneb_jax_probes.matrix.arithmetic import PLAIN, Arithmetic
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.held_streamed import HeldStreamed
from geneb_jax_probes.matrix.held_whole import HeldWhole
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.matrix.preconditioners import Preconditioner
from geneb_jax_probes.problem import Dtype

__all__ = ["HeldMatrix", "hold"]


@runtime_checkable
class HeldMatrix(Protocol):
    """One matrix on one lane."""

    @property
    def layout(self) -> Layout:
        """Its rows and its fits."""

    @property
    def lane(self) -> Lane:
        """Where it is computed with."""

    def gram(self, row_weights: Float[np.ndarray, " row"]) -> Float[Array, "dim dim"]:
        """The Gram matrix of the rows with these weights; a sample of them where rows abound."""

    def minimise(
        self,
        columns: Columns,
        *,
        preconditioner: Preconditioner | None,
        compute: Dtype,
        rules: Rules,
        stop: Stop,
        arithmetic: Arithmetic = PLAIN,
    ) -> EndPoints:
        """Run L-BFGS for some fits and penalties.

        Args:
            columns: What to solve.
            preconditioner: None to search in the coordinates of the features.
            compute: Precision of the products with X.
            rules: Of the machines.
            stop: Limits.
            arithmetic: How sums over X are rounded.
        """


def hold(layout: Layout, lane: Lane, budget: int) -> HeldMatrix:
    """Bring a matrix to its lane, whole if it fits ``budget`` bytes, else in blocks of rows."""
    if layout.bytes <= budget:
        return HeldWhole.on(lane, layout)
    return HeldStreamed.within(budget, lane, layout)
