"""Time and memory of a jitted function, beside what the memory alone would allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["best_seconds", "copy_rate", "measure"]

_RUNS = 3


def measure(form: Callable[..., Any], inputs: Sequence[jax.Array]) -> dict[str, float]:
    """Best of three after one warm-up, and the compiled program's memory.

    ``least_bytes_moved`` is every input read and every output written once; ``share_of_copy`` is
    their rate over that of a large copy on the same device, 1.0 where memory is the bound.
    """
    compiled = jax.jit(form).lower(*inputs).compile()
    memory = compiled.memory_analysis()
    moved = memory.argument_size_in_bytes + memory.output_size_in_bytes
    best = best_seconds(compiled, inputs)
    return {
        "seconds": best,
        "extra_bytes": memory.temp_size_in_bytes,
        "memory_ratio": (moved + memory.temp_size_in_bytes) / moved,
        "least_bytes_moved": moved,
        "gigabytes_per_second": moved / best / 1e9,
        "share_of_copy": moved / best / copy_rate(),
    }


def best_seconds(compiled: Callable[..., Any], inputs: Sequence[jax.Array]) -> float:
    """The best of three runs after one warm-up."""
    jax.block_until_ready(compiled(*inputs))
    seconds = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*inputs))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@cache
def copy_rate() -> float:
    """Bytes a second, read and written, of adding one to 256 MiB."""
    x = jnp.zeros(1 << 26, jnp.float32)
    return 2 * x.nbytes / best_seconds(jax.jit(lambda y: y + 1), [x])
