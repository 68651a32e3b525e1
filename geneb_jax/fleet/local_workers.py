"""A scheduler and workers of this machine, for one command: each worker with a device of its own.

Where there are GPUs each worker sees one of them; on CPU each has its share of the cores.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from geneb_jax.errors import ConfigError
from geneb_jax.fleet.losses import WorkerError

__all__ = ["device_variables", "local_cluster", "spare_devices"]

_VISIBLE = "CUDA_VISIBLE_DEVICES"
#: Workers hold nothing for Dask, so there is nothing to spill, and a pause would not end.
_SETTINGS = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.allowed-failures": 3,
    "distributed.admin.tick.limit": "60s",
}


def spare_devices() -> None:
    """Keep this process from taking a GPU's memory that a worker of this machine will need.

    Has an effect before JAX first looks for devices.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def device_variables(
    platform: str, devices: int, count: int, environment: Mapping[str, str]
) -> list[dict[str, str]]:
    """Environment variables that give each worker a device of its own.

    Args:
        platform: JAX's name of the platform.
        devices: How many devices this process sees.
        count: Workers.
        environment: Variables of this process.

    Raises:
        ConfigError: if there are not enough devices, or they cannot be divided.
    """
    if platform == "cpu":
        return [{} for _ in range(count)]
    if platform != "gpu":
        raise ConfigError(
            f"--scheduler local:{count}: the {platform} devices of a machine belong to one process",
            hint="run one process a machine, with --part auto",
        )
    if count > devices:
        raise ConfigError(
            f"--scheduler local:{count}: each worker needs a GPU of its own, and there are "
            f"{devices} here",
            hint=f"--scheduler local:{devices}",
        )
    named = [one.strip() for one in environment.get(_VISIBLE, "").split(",") if one.strip()]
    visible: Sequence[str] = named or [str(number) for number in range(devices)]
    # What was said to keep this process small is not meant for workers.
    return [
        {_VISIBLE: visible[number], "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
        for number in range(count)
    ]


@contextmanager
def local_cluster(variables: Sequence[Mapping[str, str]]) -> Iterator[Any]:
    """A scheduler on the loopback and one worker process for each entry.

    Args:
        variables: Environment variables of each worker.

    Raises:
        WorkerError: if a worker dies before it has begun.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.system import MEMORY_LIMIT

    count = len(variables)
    # Without a dashboard there is an HTTP server still, at port 8787 of every network by default.
    place = {
        "host": "127.0.0.1",
        "protocol": "tcp://",
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    with (
        tempfile.TemporaryDirectory(prefix="geneb-jax-workers-") as scratch,
        dask.config.set(_SETTINGS),
    ):
        workers = {
            number: {
                "cls": Nanny,
                "options": {
                    **place,
                    "nthreads": 1,
                    "env": dict(one),
                    "memory_limit": MEMORY_LIMIT // count,
                    "local_directory": scratch,
                    "silence_logs": logging.CRITICAL,
                },
            }
            for number, one in enumerate(variables)
        }
        scheduler = {"cls": Scheduler, "options": {**place, "port": 0}}
        try:
            started = SpecCluster(
                workers, scheduler, name="geneb-jax", silence_logs=logging.CRITICAL
            )
        except (RuntimeError, OSError) as error:  # what distributed makes of a worker's early death
            raise WorkerError(
                f"one of the {count} workers could not be started ({error})",
                where="--scheduler",
                cause="its process was killed, by hand or for want of memory",
                hint="run the same command again, with fewer workers if it is memory; what is "
                "finished is kept",
            ) from error
        with started as cluster:
            yield cluster
