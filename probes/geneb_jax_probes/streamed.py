"""A feature matrix that does not fit its lane: every pass over it brings its rows in blocks.

The machines stay on the lane; the rows of the next block are made while those of the last are
multiplied. Sums run over the same rows in the same dtypes as in the resident form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_kernels.logistic_loss import loss_and_gradient
from geneb_jax_probes.devices import Lane
from geneb_jax_probes.feature_solver import Ended, Preconditioner, assemble, ended_of
from geneb_jax_probes.machines import Machine, Rules, begin, progress, tick, trial_points
from geneb_jax_probes.packing import Columns, Layout
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.programs import program
from geneb_jax_probes.row_grams import GRAM_ROWS, gram_sample
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import block_rows_for, blocks_at_once

__all__ = ["Streamed"]


@program("logits", "with_dual")
def _set_out(start: Any, *, logits: int, with_dual: bool) -> tuple[Machine, Any]:
    """Machines at ``start [problem, logit, d + 1]``, and where they want to be evaluated."""
    machines = begin(start.reshape(start.shape[0], -1), with_dual=with_dual)
    return machines, trial_points(machines).reshape(start.shape[0], logits, -1)


@program("block_rows", "at_once", "compute")
def _add_rows(
    sums: tuple[Any, Any, Any], X: Any, codes: Any, shares: Any, theta: Any,
    *, block_rows: int, at_once: int, compute: str,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Loss, slope and balance with those of some more rows."""
    points = theta.astype(compute)
    found = loss_and_gradient(
        X, codes, shares, points[..., :-1], points[..., -1],
        block_rows=block_rows, blocks_at_once=at_once, sums=theta.dtype.name,
    )  # fmt: skip
    return tuple(a + b for a, b in zip(sums, found, strict=True))


@program("logits", "rules")
def _move_on(
    machines: Machine, sums: tuple[Any, Any, Any], penalty: Any,
    preconditioner: Preconditioner | None, tol: Any, max_iter: Any, *, logits: int, rules: Rules,
) -> tuple[Machine, Any, Any]:  # fmt: skip
    """One tick: the machines, where they want to be evaluated next, and whether any still does."""
    found = assemble(trial_points(machines), *sums, penalty, preconditioner, logits)
    machines = tick(machines, found, tol, max_iter, rules)
    theta = trial_points(machines).reshape(machines.base.shape[0], logits, -1)
    return machines, theta, jnp.any(progress(machines).ending == 0)


@program("logits")
def _close(machines: Machine, *, logits: int) -> Ended:
    return ended_of(machines, logits)


@dataclass(frozen=True, slots=True)
class Streamed:
    """The matrix on the host, brought to the lane ``capacity`` rows at a time."""

    layout: Layout
    settings: Settings
    lane: Lane
    capacity: int  # a multiple of GRAM_ROWS and of the rows of a block

    @classmethod
    def within(cls, layout: Layout, settings: Settings, lane: Lane, budget: int) -> Streamed:
        """In blocks of which three fit ``budget`` bytes: one at work, one to come, one made."""
        step = max(GRAM_ROWS, block_rows_for(layout.width, lane.platform))
        row_bytes = layout.width * np.dtype(layout.dtype).itemsize
        return cls(layout, settings, lane, step * max(1, budget // (3 * row_bytes * step)))

    def _starts(self) -> range:
        return range(0, self.layout.rows, self.capacity)

    def gram(self, row_weights: np.ndarray) -> Any:
        """The Gram matrix of the rows with these weights ``[d, d]``."""
        lane, total = self.lane, None
        sample = gram_sample(row_weights, self.layout.width)
        for start in self._starts():
            stop = min(start + self.capacity, self.layout.rows)
            if not sample.weights[start:stop].any():
                continue
            X = self.layout.features(start, stop, self.capacity)
            if lane.platform == "cpu":
                part = sample.on_host(X, start, stop, lane)
            else:
                own = np.zeros(self.capacity, np.float32)
                own[: stop - start] = sample.weights[start:stop]
                part = weighted_gram(
                    lane.put(X, owned=True),
                    lane.put(own),
                    lane.put(np.int32(self.capacity // GRAM_ROWS)),
                    lane.put(np.int32(1)),
                    block_rows=GRAM_ROWS,
                )
            total = part if total is None else total + part
        return lane.put(total, owned=True)

    def _parts(self, columns: Columns, compute: Dtype) -> Iterator[tuple[Any, Any, Any]]:
        for start in self._starts():
            stop = min(start + self.capacity, self.layout.rows)
            shares = self.layout.shares(
                start, stop, self.capacity, columns.fits, len(columns.penalty)
            )
            yield (
                self.lane.put(self.layout.features(start, stop, self.capacity), owned=True),
                self.lane.put(self.layout.labels(start, stop, self.capacity)),
                self.lane.put(shares.astype(compute)),
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
        lane, start = self.lane, columns.start
        logits = start.shape[1]
        block_rows = block_rows_for(max(self.layout.width, len(start) * logits), lane.platform)
        at_once = blocks_at_once(lane.platform)
        machines, theta = _set_out(
            lane.state(start), logits=logits, with_dual=preconditioner is not None
        )
        strengths = lane.state(columns.penalty.reshape(-1))
        zeros = tuple(
            lane.state(np.zeros(shape))
            for shape in (start.shape[:1], (*start.shape[:2], start.shape[2] - 1), start.shape[:2])
        )
        limits = lane.state(self.settings.norm_tol), lane.state(max_iter)
        live = True
        while live:
            sums = zeros
            for part in self._parts(columns, compute):
                sums = _add_rows(
                    sums, *part, theta, block_rows=block_rows, at_once=at_once, compute=compute
                )
            machines, theta, going = _move_on(
                machines, sums, strengths, preconditioner, *limits, logits=logits, rules=rules
            )
            live = bool(jax.device_get(going))
        ended: Ended = lane.call(_close, machines, logits=logits)
        return ended
