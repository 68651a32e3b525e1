"""What goes on beside the device: tokenizing the next shard, committing the last one.

At any time two shards (one of a counting model) are being computed, one is being committed and one
waits for that, at most; memory holds the rows of these and no others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["Committer", "Stopped", "computed_ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(BaseException):
    """Ends a computation in a thread that nobody waits for any more."""


def computed_ahead(
    compute: Callable[[Item, threading.Event], Result], items: Iterable[Item], *, threads: int = 2
) -> Iterator[Result]:
    """Results in the order of the items, the next ones being computed while one is looked at.

    An item is drawn when a result is taken. Whoever leaves early should close the iterator: it
    waits until the threads have stopped.

    Args:
        compute: Computes a result; may raise :class:`Stopped` once the event is set.
        items: What from.
        threads: So many are computed at a time.

    Raises:
        Exception: what an item raised, after the results of the items before it.
    """
    stop = threading.Event()
    futures: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "embed") as pool:
        try:
            for item in items:
                futures.append(pool.submit(compute, item, stop))
                if len(futures) == threads:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            stop.set()
            for future in futures:
                future.cancel()


class Committer(Generic[Item]):
    """Commits in a thread of its own, in the order given.

    What goes wrong there is raised by the next call here. Leaving the context waits for all that
    was given, whatever the reason for leaving: what was computed is kept.

    Args:
        commit: Commits one item.
    """

    def __init__(self, commit: Callable[[Item], None]) -> None:
        self._commit = commit
        self._waiting: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, "commit")

    def put(self, item: Item) -> None:
        """Commit an item soon; waits until it is the only one on its way."""
        self._waiting.append(self._pool.submit(self._commit, item))
        while len(self._waiting) > 1:
            self._waiting.popleft().result()

    def settle(self) -> None:
        """Wait until all is committed."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> Committer[Item]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None:
            self.settle()
