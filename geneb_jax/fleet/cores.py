"""Whose cores a worker of this machine computes on.

XLA divides work on a CPU by the number of threads that it has, so that number may decide the last
bits of an embedding. A worker therefore starts as many threads as a process that is alone, and only
then moves all of them to its own share of the cores: the arithmetic stays what it is in one
process, and no worker takes the time of another.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["confine", "share_of_cores"]

_THREADS = Path("/proc/self/task")


def share_of_cores(number: int, count: int, cores: Sequence[int]) -> tuple[int, ...]:
    """The cores of worker ``number`` (from 0) of ``count``.

    Shares are disjoint and as equal as can be; with more workers than cores each has one, and
    some share it.
    """
    if count >= len(cores):
        return (cores[number % len(cores)],)
    return tuple(cores[len(cores) * number // count : len(cores) * (number + 1) // count])


def confine(cores: Sequence[int]) -> bool:
    """Move all threads of this process to these cores; those to come follow.

    Returns:
        Whether the system can do that.
    """
    if not hasattr(os, "sched_setaffinity") or not _THREADS.is_dir():
        return False
    for thread in _THREADS.iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except OSError:
            continue  # it has ended meanwhile
    return True
