"""A worker's start and its orderly end; the scheduler gives it to every worker, late ones too.

On SIGTERM (a spot machine's notice, the end of a Slurm job) a worker stops its unit short, with
what is computed committed, tells the scheduler to send nothing more and leaves. A second signal is
what it would have been without us. A nanny that is asked to end gives its worker some seconds:
those are used the same way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from distributed import Worker, WorkerPlugin

from geneb_jax.fleet import unit
from geneb_jax.fleet.cores import confine, share_of_cores

__all__ = ["WorkerLife"]

_LOG = logging.getLogger(__name__)
#: How long a result may take to the driver.
_FETCH_SECONDS = 1.0


class WorkerLife(WorkerPlugin):
    """Prepares a worker before its first unit and lets it end with nothing lost.

    Args:
        prepare: Called once in a thread of the worker: imports, devices.
        workers_here: How many workers of this machine share its cores; None: each has its own.
    """

    name = "geneb-jax"
    idempotent = True

    def __init__(
        self, prepare: Callable[[], None] | None = None, workers_here: int | None = None
    ) -> None:
        self._prepare = prepare
        self._workers_here = workers_here

    def setup(self, worker: Worker) -> None:
        """Start to prepare, and listen for SIGTERM."""
        threading.Thread(
            target=self._warm_up, args=(worker.name,), name="warm-up", daemon=True
        ).start()
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, partial(_told_to_end, worker, before))

    async def teardown(self, worker: Worker) -> None:
        """Let the unit at work end; whoever closes the worker says how long that may take."""
        unit.leave()
        await asyncio.to_thread(unit.finish)

    def _warm_up(self, name: Any) -> None:
        problem = unit.run_here(self._prepare) if self._prepare is not None else ""
        if problem:  # the first unit meets the same and says it to the user
            _LOG.warning("%s", problem)
        if self._workers_here is not None and hasattr(os, "sched_getaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            confine(share_of_cores(int(name), self._workers_here, cores))


def _told_to_end(worker: Worker, before: Any, number: int, frame: FrameType | None) -> None:
    """The handler: leave once the unit at work is committed."""
    signal.signal(signal.SIGTERM, before)
    unit.leave()
    worker.loop.add_callback(_leave, worker)


async def _leave(worker: Worker) -> None:
    await asyncio.to_thread(unit.finish)
    # The driver fetches what the unit gave; else another worker would have to look what is stored.
    await asyncio.sleep(_FETCH_SECONDS)
    try:
        await worker.close_gracefully(reason="geneb-jax-sigterm")
    except Exception:  # no scheduler to say goodbye to
        await worker.close(reason="geneb-jax-sigterm")
