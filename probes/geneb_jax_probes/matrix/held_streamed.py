"""A feature matrix that does not fit its lane: every pass over it brings its rows in blocks.

The machines stay on the lane; the rows of the next block are made while those of the last are
multiplied. Sums run over the same rows in the same dtypes as where the matrix is held whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float, Int

from geneb_jax_kernels.logistic_loss import loss_and_gradient
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop, run_machines_from_host
from geneb_jax_probes.lbfgs.machines import Machine, Rules
from geneb_jax_probes.matrix.arithmetic import PLAIN, Arithmetic
from geneb_jax_probes.matrix.end_points import EndPoints, end_points
from geneb_jax_probes.matrix.gram_sample import GRAM_ROWS, gram_sample
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.matrix.preconditioners import Preconditioner
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.programs import program
from geneb_jax_probes.shapes import blocks_for

__all__ = ["HeldStreamed"]

#: Loss ``[problem]``, slope ``[problem, logit, dim]`` and balance ``[problem, logit]`` of a pass.
Sums = tuple[Array, Array, Array]


@program("block_rows", "at_once", "compute", "arithmetic")
def _add_rows(
    sums: Sums,
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    shares: Float[Array, "row _"],
    points: Float[Array, "problem p"],
    *,
    block_rows: int,
    at_once: int,
    compute: str,
    arithmetic: Arithmetic,
) -> Sums:
    """Loss, slope and balance with those of some more rows."""
    theta = points.reshape(*sums[2].shape, -1).astype(compute)
    loss, slope, balance = loss_and_gradient(
        X,
        codes,
        shares,
        theta[..., :-1],
        theta[..., -1],
        block_rows=block_rows,
        blocks_at_once=at_once,
        sums=points.dtype.name,
        terms=arithmetic.terms,
    )
    return sums[0] + loss, sums[1] + slope, sums[2] + balance


@program("logits")
def _close(machines: Machine, *, logits: int) -> EndPoints:
    return end_points(machines, (machines.base.shape[0], logits))


@dataclass(frozen=True, slots=True)
class HeldStreamed:
    """The matrix on the host, brought to the lane ``capacity`` rows at a time.

    A :class:`~geneb_jax_probes.matrix.held_matrix.HeldMatrix`.
    """

    layout: Layout
    lane: Lane
    capacity: int  # a multiple of GRAM_ROWS and of the rows of a block

    @classmethod
    def within(cls, budget: int, lane: Lane, layout: Layout) -> HeldStreamed:
        """In blocks of which three fit ``budget`` bytes: one at work, one to come, one made."""
        most = blocks_for(layout.rows, layout.width, 1, lane.platform, "float32").rows
        step = max(GRAM_ROWS, most)
        row_bytes = layout.width * np.dtype(layout.dtype).itemsize
        return cls(layout, lane, step * max(1, budget // (3 * row_bytes * step)))

    def _parts(self) -> list[tuple[int, int]]:
        """First and last row of each block."""
        rows = self.layout.rows
        return [(at, min(at + self.capacity, rows)) for at in range(0, rows, self.capacity)]

    def gram(self, row_weights: Float[np.ndarray, " row"]) -> Float[Array, "dim dim"]:
        """The Gram matrix of the rows with these weights."""
        sample = gram_sample(row_weights, self.layout.width)
        total: Array | np.ndarray | None = None
        for start, stop in self._parts():
            if sample.weights[start:stop].any():
                X = self.layout.features(start, stop, self.capacity)
                part = sample.add_up(X, start, stop, self.lane)
                total = part if total is None else total + part
        if total is None:
            total = np.zeros((self.layout.width, self.layout.width), np.float32)
        return self.lane.put(total, owned=True)

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
        """Run the machines of some fits and penalties, driven from the host."""
        lane, layout = self.lane, self.layout
        problems, logits, width = columns.start.shape
        cut = blocks_for(layout.rows, layout.width, columns.count, lane.platform, compute)
        kept = lane.state_dtype if arithmetic.wide_shares else compute
        zeros = (
            lane.state(np.zeros(problems)),
            lane.state(np.zeros((problems, logits, width - 1))),
            lane.state(np.zeros((problems, logits))),
        )

        def measure(points: Float[Array, "problem p"]) -> Sums:
            sums = zeros
            for start, stop in self._parts():
                sums = _add_rows(
                    sums,
                    lane.put(layout.features(start, stop, self.capacity), owned=True),
                    lane.put(layout.labels(start, stop, self.capacity)),
                    lane.put(layout.shares(start, stop, self.capacity, columns).astype(kept)),
                    points,
                    block_rows=cut.rows,
                    at_once=cut.at_once,
                    compute=compute,
                    arithmetic=arithmetic,
                )
            return sums

        machines = run_machines_from_host(
            measure,
            arithmetic.evaluation,
            (lane.state(columns.penalty.reshape(-1)), preconditioner),
            lane.state(columns.start.reshape(problems, -1)),
            with_dual=preconditioner is not None,
            stop=stop,
            rules=rules,
        )
        return lane.call(_close, machines, logits=logits)
