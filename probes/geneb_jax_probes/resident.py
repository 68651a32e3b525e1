"""A feature matrix that stays on its lane while the machines run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, solve_features
from geneb_jax_probes.machines import Rules
from geneb_jax_probes.packing import Columns, Layout
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.row_grams import GRAM_ROWS, gram_sample
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import block_rows_for, blocks_at_once, row_capacity

__all__ = ["Resident", "put_resident"]


@dataclass(frozen=True, slots=True)
class Resident:
    """The matrix on its lane, with what every call over it needs."""

    layout: Layout
    settings: Settings
    lane: Lane
    X: Any
    codes: Any

    def gram(self, row_weights: np.ndarray) -> Any:
        """The Gram matrix of the rows with these weights ``[d, d]``."""
        lane, rows = self.lane, self.layout.rows
        sample = gram_sample(row_weights, self.layout.width)
        if lane.platform == "cpu":
            return lane.put(sample.on_host(np.asarray(self.X), 0, rows, lane), owned=True)
        padded = np.zeros(self.X.shape[0], np.float32)
        padded[:rows] = sample.weights
        return weighted_gram(
            self.X,
            lane.put(padded),
            lane.put(np.int32(-(-rows // GRAM_ROWS))),
            lane.put(np.int32(sample.stride)),
            block_rows=GRAM_ROWS,
        )

    def solve(
        self,
        columns: Columns,
        preconditioner: Preconditioner | None,
        compute: Dtype,
        rules: Rules,
        max_iter: int,
    ) -> Ended:
        """Run the machines of some fits and penalties."""
        lane, layout = self.lane, self.layout
        count = columns.start.shape[0] * columns.start.shape[1]
        block_rows = block_rows_for(max(layout.width, count), lane.platform)
        shares = layout.shares(0, layout.rows, self.X.shape[0], columns.fits, len(columns.penalty))
        ended: Ended = lane.call(
            solve_features,
            self.X,
            self.codes,
            lane.put(shares.astype(compute)),
            lane.state(columns.penalty.reshape(-1)),
            lane.state(columns.start),
            preconditioner,
            lane.put(np.int32(-(-layout.rows // block_rows))),
            lane.state(self.settings.norm_tol),
            lane.state(max_iter),
            compute=compute,
            block_rows=block_rows,
            at_once=blocks_at_once(lane.platform),
            rules=rules,
        )
        return ended


def put_resident(layout: Layout, settings: Settings, lane: Lane) -> Resident:
    """Bring the whole matrix to the lane."""
    block_rows = max(block_rows_for(layout.width, lane.platform), GRAM_ROWS)
    capacity = row_capacity(layout.rows, block_rows, lane.platform)
    return Resident(
        layout,
        settings,
        lane,
        lane.put(layout.features(0, layout.rows, capacity), owned=True),
        lane.put(layout.labels(0, layout.rows, capacity)),
    )
