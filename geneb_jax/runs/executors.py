"""Who does the work of a run: this process, unless something else is handed over.

All work is data (:mod:`geneb_jax.runs.work`) and every function that does a piece of it is a
module's own, so an executor for processes, a cluster or a queue is one class with one method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["Executor", "SerialExecutor"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Does the same to many items."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Results in the order of ``items``, each as soon as it and all before it are there.

        Args:
            function: Can be pickled, as can every item and every result.
            items: Pieces of work that do not depend on each other.
        """
        ...


class SerialExecutor:
    """One item after the other, here, each when its result is asked for."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """See :meth:`Executor.map`."""
        return map(function, items)
