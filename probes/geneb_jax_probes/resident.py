"""A feature matrix that stays on its lane while the machines run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, solve_features
from geneb_jax_probes.machines import Rules
from geneb_jax_probes.packing import Layout
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import block_rows_for, blocks_at_once, row_capacity

__all__ = ["GRAM_ROWS", "Resident", "gram_weights", "put_resident"]

#: Rows of a block of the Gram product, and rows a feature that are enough to build it from.
GRAM_ROWS = 1024
_GRAM_ROWS_A_FEATURE = 16
_TINY = 1e-300


def gram_weights(weights: np.ndarray, width: int) -> tuple[np.ndarray, int]:
    """Row weights of a Gram product that samples where rows abound.

    Returns:
        The weights float32 ``[row]``, and a stride: every so many blocks of ``GRAM_ROWS`` rows are
        used, and the weights of those have the sum that all had.
    """
    rows = len(weights)
    stride = max(1, rows // (_GRAM_ROWS_A_FEATURE * width))
    sampled = np.arange(rows) // GRAM_ROWS % stride == 0
    share = float(weights[sampled].sum()) / max(float(weights.sum()), _TINY)
    return (weights / max(share, _TINY)).astype(np.float32), stride


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
        weights, stride = gram_weights(row_weights, self.layout.width)
        padded = np.zeros(self.X.shape[0], np.float32)
        padded[: len(weights)] = weights
        return weighted_gram(
            self.X,
            self.lane.put(padded),
            self.lane.put(np.int32(-(-self.layout.rows // GRAM_ROWS))),
            self.lane.put(np.int32(stride)),
            block_rows=GRAM_ROWS,
        )

    def solve(
        self,
        penalty: np.ndarray,
        start: np.ndarray,
        preconditioner: Preconditioner | None,
        compute: Dtype,
        rules: Rules,
        max_iter: int,
    ) -> Ended:
        """Run the machines of ``penalty [C, fit]`` from ``start [C * fit, logit, d + 1]``."""
        lane, layout = self.lane, self.layout
        columns = start.shape[0] * start.shape[1]
        block_rows = block_rows_for(max(layout.width, columns), lane.platform)
        shares = layout.shares(0, layout.rows, self.X.shape[0], len(penalty))
        ended: Ended = lane.call(
            solve_features,
            self.X,
            self.codes,
            lane.put(shares.astype(compute)),
            lane.state(penalty.reshape(-1)),
            lane.state(start),
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
