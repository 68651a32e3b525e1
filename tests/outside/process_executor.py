"""An executor that the project does not know: other processes of this machine, started afresh."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

__all__ = ["ProcessExecutor"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class ProcessExecutor:
    """Hands every item to one of a few processes that share nothing with this one."""

    def __init__(self, processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
        self.items = 0

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Results in the order of the items."""
        handed = list(items)
        self.items += len(handed)
        return self._pool.map(function, handed)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()
