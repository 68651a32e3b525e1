"""A feature matrix that stays on its lane while the machines run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float, Int

from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import Rules
from geneb_jax_probes.matrix.arithmetic import PLAIN, Arithmetic
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.feature_space import minimise_features
from geneb_jax_probes.matrix.gram_sample import GRAM_ROWS, gram_sample
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.matrix.preconditioners import Preconditioner
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.shapes import (
    block_rows_for,
    blocks_for,
    blocks_with_data,
    row_capacity,
)

__all__ = ["HeldWhole"]


@dataclass(frozen=True, slots=True)
class HeldWhole:
    """The matrix on its lane; a :class:`~geneb_jax_probes.matrix.held_matrix.HeldMatrix`."""

    layout: Layout
    lane: Lane
    X: Float[Array, "capacity dim"]
    codes: Int[Array, " capacity"]

    @classmethod
    def on(cls, lane: Lane, layout: Layout) -> HeldWhole:
        """Bring the whole matrix to the lane."""
        block_rows = max(block_rows_for(layout.width, lane.platform), GRAM_ROWS)
        capacity = row_capacity(layout.rows, block_rows, lane.platform)
        X = lane.put(layout.features(0, layout.rows, capacity), owned=True)
        return cls(layout, lane, X, lane.put(layout.labels(0, layout.rows, capacity)))

    def gram(self, row_weights: Float[np.ndarray, " row"]) -> Float[Array, "dim dim"]:
        """The Gram matrix of the rows with these weights."""
        sample = gram_sample(row_weights, self.layout.width)
        return self.lane.put(sample.add_up(self.X, 0, self.layout.rows, self.lane), owned=True)

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
        """Run the machines of some fits and penalties, in one program."""
        lane, layout = self.lane, self.layout
        cut = blocks_for(layout.rows, layout.width, columns.count, lane.platform, compute)
        blocks = blocks_with_data(layout.rows, cut.rows, lane.platform)
        shares = layout.shares(0, layout.rows, self.X.shape[0], columns)
        kept = lane.state_dtype if arithmetic.wide_shares else compute
        return lane.call(
            minimise_features,
            self.X,
            self.codes,
            lane.put(shares.astype(kept)),
            lane.state(columns.penalty.reshape(-1)),
            lane.state(columns.start),
            preconditioner,
            None if blocks is None else lane.put(np.int32(blocks)),
            stop,
            compute=compute,
            block_rows=cut.rows,
            at_once=cut.at_once,
            rules=rules,
            arithmetic=arithmetic,
        )
