"""Who does the work of a run: this process, unless something else is handed over.

All work is data (:mod:`geneb_jax.runs.work`) and every function that does a piece of it is a
module's own, so an executor for processes, a cluster or a queue is one class with one method.
``--scheduler`` opens one of ours: :class:`geneb_jax.fleet.dispatch.Fleet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from geneb_jax.fleet.address import LocalWorkers, read_scheduler

if TYPE_CHECKING:
    from geneb_jax.runs.observer import RunObserver
    from geneb_jax.runs.request import RunRequest

__all__ = ["Executor", "SerialExecutor", "open_executor", "prepare_driver", "worker_count"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Does the same to many items."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Results in any order, each as soon as it is there.

        Args:
            function: Can be pickled, as can every item and every result.
            items: Pieces of work that do not depend on each other.

        Raises:
            LostUnitsError: at the end, if some items were tried in vain.
        """
        ...


class SerialExecutor:
    """One item after the other, here, each when its result is asked for."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """See :meth:`Executor.map`."""
        return map(function, items)


def worker_count(executor: Executor) -> int:
    """How many items an executor does at once; 1 where it does not say."""
    return int(getattr(executor, "worker_count", 1))


def prepare_driver(request: RunRequest) -> None:
    """Leave the devices of this machine to the workers that a run will start here.

    Has an effect before JAX first looks for devices.
    """
    if request.scheduler is not None and isinstance(
        read_scheduler(request.scheduler), LocalWorkers
    ):
        from geneb_jax.fleet.local_workers import spare_devices

        spare_devices()


@contextmanager
def open_executor(request: RunRequest, observer: RunObserver) -> Iterator[Executor]:
    """The executor that a request asks for, for as long as the context lasts.

    Raises:
        ConfigError: if ``--scheduler`` names workers that cannot be started.
        FleetEndedError: if nobody listens where it says.
    """
    if request.scheduler is None:
        yield SerialExecutor()
        return
    from geneb_jax.fleet.opening import open_fleet
    from geneb_jax.runs.fleet_embedding import prepare_worker, this_process_devices

    with open_fleet(
        request.scheduler,
        note=observer.note,
        prepare=prepare_worker,
        devices=this_process_devices,
    ) as fleet:
        yield fleet
