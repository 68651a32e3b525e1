"""Many worker processes through Dask ``distributed``: units of work out, results back.

This room knows no model and no task. It is given a function of a module and pieces of work that can
be pickled, and promises that each piece is done once, or named::

    with open_fleet("local:2", note=print) as fleet:
        for result in fleet.map(function, items):
            ...

    address        what ``--scheduler`` says                               no distributed
    unit           what runs in a worker: one unit at a time, stop, tell   no distributed
    cores          whose cores a worker of this machine computes on        no distributed
    losses         how it ends badly                                       no distributed
    worker_plugin  a worker's start and its orderly end
    local_workers  a scheduler and workers of this machine
    roster         which workers there are, and whether anybody answers
    dispatch       one unit a worker, tries, late comers, progress
    opening        all of it together

Nothing here imports ``distributed`` before a fleet is opened; it comes with the extra ``cluster``.
"""

from __future__ import annotations

from geneb_jax.fleet.address import LocalWorkers, RemoteScheduler, read_scheduler
from geneb_jax.fleet.losses import FleetEndedError, LostUnitsError, WorkerError
from geneb_jax.fleet.unit import Progress, stopping, tell

__all__ = [
    "FleetEndedError",
    "LocalWorkers",
    "LostUnitsError",
    "Progress",
    "RemoteScheduler",
    "WorkerError",
    "read_scheduler",
    "stopping",
    "tell",
]
