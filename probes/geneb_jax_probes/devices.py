"""Where programs run: one lane a device, or a core; work is spread over lanes by whole problems.

XLA on CPU runs the small operations of a solver on one core, so two problems on two threads are
twice as fast as one problem on two cores. On accelerators a lane is a device: programs are placed
on them round and round, and no problem ever needs another device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np

from geneb_jax_probes.blas_threads import one_blas_thread

__all__ = ["Lane", "lanes", "run_on_lanes"]

#: Bytes assumed where a device does not say.
_UNKNOWN_MEMORY = 4 << 30

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Lane:
    """One place to run programs."""

    device: Any
    platform: str
    sharers: int = 1

    @property
    def state_dtype(self) -> str:
        """Precision of scalars and small vectors: float64 wherever the hardware has it."""
        return "float32" if self.platform == "tpu" else "float64"

    @property
    def memory_bytes(self) -> int:
        """Memory that this lane may count on: that of its device, shared with its other lanes."""
        limit = (self.device.memory_stats() or {}).get("bytes_limit")
        if limit is None and hasattr(os, "sysconf"):
            limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return int(limit or _UNKNOWN_MEMORY) // self.sharers

    def put(self, array: Any, *, owned: bool = False) -> Any:
        """An array on this lane; ``owned`` promises that nobody writes to it any more."""
        return jax.device_put(array, self.device, may_alias=True if owned else None)

    def state(self, value: Any) -> Any:
        """A number or an array on this lane in the precision of scalars."""
        return self.put(np.asarray(value, self.state_dtype))

    def call(self, program: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run a program to its end and bring the results to the host."""
        return jax.device_get(program(*arguments, **options))


def lanes() -> list[Lane]:
    """The lanes of this process."""
    devices = jax.local_devices()
    platform = devices[0].platform
    if platform == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        count = max(len(devices), cores or 1)
        # Host devices share the memory of the host, however many there are.
        return [Lane(devices[i % len(devices)], platform, count) for i in range(count)]
    return [Lane(device, platform) for device in devices]


def run_on_lanes(
    work: Callable[[_Item, Lane], _Result], items: Sequence[_Item], cost: Callable[[_Item], float]
) -> list[_Result]:
    """Do all items, the costliest first, each on the first lane that is free.

    float64 is switched on for the threads of this call alone, and products run at full precision.

    Returns:
        Results in the order of ``items``; they do not depend on the number of lanes.
    """
    if not items:
        return []
    places = lanes()
    free = list(reversed(places))
    order = sorted(range(len(items)), key=lambda i: -cost(items[i]))
    wide = places[0].state_dtype == "float64"

    def one(i: int) -> _Result:
        lane = free.pop()
        try:
            with jax.enable_x64(wide), jax.default_matmul_precision("highest"):
                return work(items[i], lane)
        finally:
            free.append(lane)

    with one_blas_thread() if places[0].platform == "cpu" else nullcontext():
        if len(places) == 1 or len(items) == 1:
            return [one(i) for i in range(len(items))]
        with ThreadPoolExecutor(min(len(places), len(items)), "probe-lane") as pool:
            futures = {i: pool.submit(one, i) for i in order}
            return [futures[i].result() for i in range(len(items))]
