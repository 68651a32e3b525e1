"""Progress of an embedding as plain numbers; how they look is the command line's business."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from geneb_jax.interruption import stop_if_requested

__all__ = ["EmbedProgress", "ProgressCallback", "ProgressClock"]


@dataclass(frozen=True, slots=True)
class EmbedProgress:
    """How far an embedding is.

    Attributes:
        model_id: The model.
        sequences_done: Sequences embedded so far in this call.
        sequences_total: Sequences that this call embeds, less what other processes took over.
        bp_done: Their letters so far.
        bp_total: Their letters in all.
        seconds: Since the call began.
        sequences_per_second: Over the whole call; 0 before the first batch is back.
        eta_seconds: Remaining seconds at the rate of letters so far, None before the first batch.
        workers: Processes that embed, where it is not this one alone.
    """

    model_id: str
    sequences_done: int
    sequences_total: int
    bp_done: int
    bp_total: int
    seconds: float
    sequences_per_second: float
    eta_seconds: float | None
    workers: int | None = None


ProgressCallback = Callable[[EmbedProgress], None]


class ProgressClock:
    """Counts what is done and tells a callback, at most a few times a second.

    Every call asks whether the process was told to stop: after a batch, and while others hold what
    is left.
    """

    _INTERVAL_SECONDS = 0.2

    def __init__(
        self,
        callback: ProgressCallback | None,
        *,
        model_id: str,
        sequences_total: int,
        bp_total: int,
    ) -> None:
        self._callback = callback
        self._model_id = model_id
        self._totals = [sequences_total, bp_total]
        self._done = [0, 0]
        self._guard = threading.RLock()
        self._began = self._told = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return time.perf_counter() - self._began

    def expect(self, sequences: int, bp: int) -> None:
        """So much is left; what others did is no part of the total."""
        stop_if_requested()
        with self._guard:
            self._totals = [self._done[0] + sequences, self._done[1] + bp]
            if not sequences and self._done[0]:
                self._tell()

    def advance(self, sequences: int, bp: int) -> None:
        """Add what a batch brought; threads may do so side by side."""
        stop_if_requested()
        with self._guard:
            self._done[0] += sequences
            self._done[1] += bp
            late = time.perf_counter() - self._told >= self._INTERVAL_SECONDS
            if late or self._done[0] >= self._totals[0]:
                self._tell()

    def _tell(self) -> None:
        if self._callback is None:
            return
        now = self._told = time.perf_counter()
        seconds = now - self._began
        left = self._totals[1] - self._done[1]
        self._callback(
            EmbedProgress(
                model_id=self._model_id,
                sequences_done=self._done[0],
                sequences_total=self._totals[0],
                bp_done=self._done[1],
                bp_total=self._totals[1],
                seconds=seconds,
                sequences_per_second=self._done[0] / seconds if seconds else 0.0,
                eta_seconds=seconds * left / self._done[1] if self._done[1] else None,
            )
        )
