"""Where programs run: one lane a device, or a core; work is spread over lanes by whole problems.

XLA on CPU runs the small operations of a solver on one core, so two problems on two threads are
twice as fast as one problem on two cores. On accelerators a lane is a device: programs are placed
on them round and round, and no problem ever needs another device.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from geneb_jax_probes.blas_threads import one_blas_thread

__all__ = ["Lane", "lanes", "run_on_lanes"]

#: Bytes assumed where a device does not say.
_UNKNOWN_MEMORY = 4 << 30

_Item = TypeVar("_Item")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Lane:
    """One place to run programs.

    Attributes:
        device: The JAX device.
        platform: Its kind: ``cpu``, ``gpu``, ``tpu``.
        sharers: Lanes that share the memory of this one.
        idle: Runs what lanes that have nothing else to do can take over; None where there are none.
    """

    device: jax.Device
    platform: str
    sharers: int = 1
    idle: Executor | None = None

    @property
    def state_dtype(self) -> str:
        """Precision of scalars and small vectors: float64 wherever the hardware has it."""
        return "float32" if self.platform == "tpu" else "float64"

    @property
    def compiles_triton(self) -> bool:
        """Whether kernels written for NVIDIA's GPUs run here."""
        version = str(getattr(self.device.client, "platform_version", ""))
        return self.platform == "gpu" and "rocm" not in version.lower()

    @property
    def multiplies_on_host(self) -> bool:
        """Whether the host's BLAS reads this lane's arrays where they are."""
        return self.platform == "cpu"

    @property
    def batches_lapack(self) -> bool:
        """Whether a decomposition may take many matrices at once.

        On CPU it may not: a batched LAPACK call hands its matrices to the threads that run programs
        and waits for them, so that two such programs on two lanes can wait for each other for ever
        (seen with jaxlib 0.10.2, for ``eigh``, ``cholesky`` and ``triangular_solve``).
        """
        return self.platform != "cpu"

    @property
    def memory_bytes(self) -> int:
        """Memory that this lane may count on: that of its device, shared with its other lanes."""
        limit = (self.device.memory_stats() or {}).get("bytes_limit")
        if limit is None and hasattr(os, "sysconf"):
            limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return int(limit or _UNKNOWN_MEMORY) // self.sharers

    def put(self, array: ArrayLike, *, owned: bool = False) -> Array:
        """An array on this lane; ``owned`` promises that nobody writes to it any more."""
        return jax.device_put(array, self.device, may_alias=True if owned else None)

    def state(self, value: ArrayLike | Sequence[float]) -> Array:
        """A number or an array on this lane in the precision of scalars."""
        return self.put(np.asarray(value, self.state_dtype))

    def call(
        self,
        program: Callable[_Parameters, _Result],
        *arguments: _Parameters.args,
        **options: _Parameters.kwargs,
    ) -> _Result:
        """Run a program to its end and bring the results to the host."""
        result: _Result = jax.device_get(program(*arguments, **options))
        return result

    @contextmanager
    def precisely(self) -> Iterator[None]:
        """float64 for this thread alone, and products at full precision."""
        with (
            jax.enable_x64(self.state_dtype == "float64"),
            jax.default_matmul_precision("highest"),
        ):
            yield

    def together(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Do the parts of one item, in order, with the help of cores that have nothing else to do.

        How an item is divided must not depend on the help there is: the results would.
        """
        waiting = deque(range(len(items)))
        results: dict[int, _Result] = {}

        def take_on() -> None:
            with self.precisely():
                while waiting:
                    try:
                        i = waiting.popleft()
                    except IndexError:
                        return
                    results[i] = work(items[i])

        most = 0 if self.idle is None else min(self.sharers, len(items)) - 1
        helpers = [self.idle.submit(take_on) for _ in range(most)] if self.idle else []
        try:
            take_on()
        finally:
            # Helpers that have not begun are not waited for: no lane may be free for long.
            waiting.clear()
            begun = [helper for helper in helpers if not helper.cancel()]
            wait(begun)
        for helper in begun:
            helper.result()
        return [results[i] for i in range(len(items))]


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

    Parts of an item (:meth:`Lane.together`) run on lanes that no other item needs. float64 is
    switched on for the threads of this call alone, and products run at full precision.

    Returns:
        Results in the order of ``items``; they do not depend on the number of lanes.
    """
    if not items:
        return []
    places = lanes()
    order = sorted(range(len(items)), key=lambda i: -cost(items[i]))
    on_cpu, alone = places[0].multiplies_on_host, len(places) == 1 or len(items) == 1
    with (
        one_blas_thread() if on_cpu else nullcontext(),
        ThreadPoolExecutor(max(1, len(places) - alone), "probe-lane") as pool,
    ):
        shared = pool if on_cpu and len(places) > 1 else None
        free = [replace(lane, idle=shared) for lane in reversed(places)]

        def one(i: int) -> _Result:
            lane = free.pop()
            try:
                with lane.precisely():
                    return work(items[i], lane)
            finally:
                free.append(lane)

        if alone:
            return [one(i) for i in range(len(items))]
        futures = {i: pool.submit(one, i) for i in order}
        return [futures[i].result() for i in range(len(items))]
