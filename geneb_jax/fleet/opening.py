"""Open a fleet: workers of this machine, or the scheduler that an address names."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

from geneb_jax.errors import ConfigError
from geneb_jax.fleet.address import LocalWorkers, read_scheduler
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.fleet.losses import FleetEndedError
from geneb_jax.fleet.roster import Patience

__all__ = ["closed_at_the_end", "open_fleet"]

Opened = TypeVar("Opened")

_LOG = logging.getLogger(__name__)

_CONNECT_SECONDS = 30


@contextmanager
def open_fleet(
    scheduler: str,
    *,
    note: Callable[[str], None] = lambda text: None,
    prepare: Callable[[], None] | None = None,
    devices: Callable[[], tuple[str, int]] = lambda: ("cpu", 1),
    patience: Patience | None = None,
) -> Iterator[Fleet]:
    """A fleet for as long as the context lasts; workers that it started end with it.

    Args:
        scheduler: ``local:N``, or the address of a scheduler.
        note: Told one sentence worth reading.
        prepare: A function of a module that every worker calls before its first unit.
        devices: Says platform and number of this process's devices, for workers of this machine.
        patience: How long things may stand still.

    Raises:
        ConfigError: if the extra ``cluster`` is not installed, or the devices cannot be divided.
        FleetEndedError: if nobody listens at the address.
    """
    asked = read_scheduler(scheduler)
    try:
        from distributed import Client
        from distributed.versions import VersionMismatchWarning

        from geneb_jax.fleet.local_workers import device_variables, local_cluster
        from geneb_jax.fleet.worker_plugin import WorkerLife
    except ImportError as error:
        raise ConfigError(
            f"--scheduler needs a package that is not installed ({error.name})",
            hint="pip install 'geneb-jax[cluster]'",
        ) from error
    with ExitStack() as stack:
        stack.enter_context(_quiet_connection())
        workers_here: int | None = None
        address = scheduler
        if isinstance(asked, LocalWorkers):
            platform, count = devices()
            variables = device_variables(platform, count, asked.count, os.environ)
            cluster = stack.enter_context(closed_at_the_end(local_cluster(variables)))
            address = cluster.scheduler_address
            workers_here = asked.count if platform == "cpu" else None
        # Versions are compared by the units, which know what decides a result.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)
            try:
                client = stack.enter_context(
                    closed_at_the_end(
                        Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
                    )
                )
            except (OSError, TimeoutError) as error:
                raise FleetEndedError(
                    "no scheduler answers",
                    where=address,
                    cause="it is not there yet, or a firewall stands between",
                    hint="start it with: dask scheduler",
                ) from error
        client.register_plugin(WorkerLife(prepare, workers_here))
        yield Fleet(
            client,
            scheduler if workers_here is None else f"{scheduler} ({address})",
            note=note,
            workers_may_come=not isinstance(asked, LocalWorkers),
            patience=patience,
        )


@contextmanager
def closed_at_the_end(opened: AbstractContextManager[Opened]) -> Iterator[Opened]:
    """A context whose end is only logged if it fails.

    By then results are here and rows are in the store: on a machine so busy that workers do not end
    in time, a finished run must not be lost to that.
    """
    value = opened.__enter__()
    try:
        yield value
    finally:
        try:
            opened.__exit__(None, None, None)
        except (OSError, TimeoutError, RuntimeError) as error:
            _LOG.info("workers did not end in order: %s: %s", type(error).__name__, error)


@contextmanager
def _quiet_connection() -> Iterator[None]:
    """What the connection logs on its way down is said by our own messages."""
    loggers = [logging.getLogger(name) for name in ("distributed.client", "distributed.core")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
