"""Hand out units, one a worker, and see each of them done, tried again, or named.

A worker that joins late gets the next unit; one that dies gives its unit back. The scheduler tries
a unit anew whose worker died (four workers may die of one); a unit that failed is tried anew here,
on whichever worker is free. A worker that never did a unit where others do is left out: it is the
worker that is at fault and not the unit.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from geneb_jax.errors import GenebError, InterruptedRunError
from geneb_jax.fleet.losses import FleetEndedError, LostUnitsError
from geneb_jax.fleet.roster import Patience, Roster
from geneb_jax.fleet.unit import Order, Outcome, Progress, do_unit, software, stop_run

__all__ = ["Fleet"]

_LOG = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Tries after the first one.
RETRIES = 3
_WAIT_SECONDS = 0.25
#: How long a finished unit's result may be on its way.
_FETCH_SECONDS = 120.0
#: How long units at work may take to stop short when the run ends early.
_STOP_SECONDS = 20.0


@dataclass(slots=True)
class _Flight:
    """A unit that a worker has."""

    item: Any
    future: Any
    tries: int
    allowed: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Standing:
    """What is known of workers: who has done a unit, who is left out."""

    proven: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)


class Fleet:
    """Workers of one scheduler; see :func:`geneb_jax.fleet.opening.open_fleet`.

    Args:
        client: The connection, a ``distributed.Client``.
        address: Where the scheduler listens.
        note: Told one sentence worth reading.
        workers_may_come: Whether workers may still come from elsewhere when there is none.
        patience: How long things may stand still.
    """

    def __init__(
        self,
        client: Any,
        address: str,
        *,
        note: Callable[[str], None],
        workers_may_come: bool,
        patience: Patience | None = None,
    ) -> None:
        self._client, self._address, self._note = client, address, note
        self._workers_may_come = workers_may_come
        self._patience = patience or Patience()
        self._roster = Roster(client, address, self._patience)
        self._standing = _Standing()
        self._stands_since = time.monotonic()
        self._told_waiting = False

    @property
    def worker_count(self) -> int:
        """Workers that take work at the moment, at least 1."""
        self._roster.look()
        return max(1, len(self._roster.without(self._standing.left_out)))

    def everywhere(self, function: Callable[[], Any]) -> None:
        """Call something on every worker that has nothing to do; that it fails is only logged."""
        try:
            self._client.run(function, on_error="ignore")
        except (OSError, TimeoutError, RuntimeError) as error:
            _LOG.info("not all workers were told: %s", error)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        /,
        *,
        progress: Progress = lambda unit, letters, sequences: None,
        ahead: int = 1,
    ) -> Iterator[Result]:
        """Results as they come; an item is drawn shortly before a worker is free to begin it.

        Args:
            function: A function of a module; it, the items and the results can be pickled.
            items: Pieces of work that do not depend on each other.
            progress: Told what units at work say of themselves.
            ahead: Items that wait for each worker, so that it need not wait for whoever takes its
                results in; 0 where an item should be as late, and know as much, as possible.

        Raises:
            LostUnitsError: at the end, naming the units that were tried in vain.
            FleetEndedError: if the scheduler or all workers are gone.
            GenebError: what a unit says that no other try would change.
        """
        work = _Work(self, function, iter(items), progress, ahead)
        try:
            yield from work.results()
        except FleetEndedError:
            work.forget()
            raise
        finally:
            work.end()
        if work.lost:
            raise LostUnitsError(work.lost)

    def begin(self) -> None:
        """Whatever was long ago says nothing of who is there now."""
        self._roster.heard()
        self._stands_since = time.monotonic()

    def _require_somebody(self) -> None:
        """Look around, and end where nothing can happen any more.

        Raises:
            FleetEndedError: see :class:`Patience`.
        """
        self._roster.look()
        now = time.monotonic()
        if self._roster.without(self._standing.left_out):
            self._stands_since, self._told_waiting = now, False
            return
        stands = now - self._stands_since
        paused = len(self._roster.paused)
        if paused and stands >= self._patience.paused:
            raise FleetEndedError(
                f"all {paused} workers are paused, since their memory is nearly full",
                where=self._address,
                hint="start them with more memory (dask worker --memory-limit), or fewer of them",
            )
        if not paused and not self._workers_may_come and stands >= self._patience.no_worker:
            raise FleetEndedError(
                "all workers have ended",
                where=self._address,
                cause="they were killed, or they do not start",
                hint="everything committed is kept; run the same command again",
            )
        if stands > 5.0 and not self._told_waiting:
            self._told_waiting = True
            self._note(f"{self._address}: waiting for workers")


class _Work:
    """One call of :meth:`Fleet.map`."""

    def __init__(
        self,
        fleet: Fleet,
        function: Callable[[Any], Any],
        source: Iterator[Any],
        progress: Progress,
        ahead: int,
    ) -> None:
        self._ahead = ahead
        self._fleet, self._function, self._source = fleet, function, source
        self._progress = progress
        self._run = f"geneb-jax-{secrets.token_hex(8)}"
        self._software, self._folder = software(), os.getcwd()  # noqa: PTH109 - a text is wanted
        self._news: queue.SimpleQueue[tuple[int, int, int] | int] = queue.SimpleQueue()
        self._flights: dict[int, _Flight] = {}
        self._again: deque[tuple[Any, int]] = deque()
        self._drained = False
        self._count = 0
        self.lost: list[tuple[Any, str]] = []

    def results(self) -> Iterator[Any]:
        """Hand out and take in, until nothing is left."""
        fleet = self._fleet
        fleet._client.subscribe_topic(self._run, self._heard)
        fleet.begin()
        while True:
            fleet._require_somebody()
            self._hand_out()
            if not self._flights and self._drained and not self._again:
                return
            try:
                news = self._news.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                continue
            fleet._roster.heard()
            if isinstance(news, tuple):
                self._progress(*news)
            elif news in self._flights:
                yield from self._take_in(news)

    def forget(self) -> None:
        """There is nobody to be told that the run ends."""
        self._flights.clear()

    def end(self) -> None:
        """Let go of the run; units still at work stop short and commit what they have."""
        client = self._fleet._client
        try:
            client.unsubscribe_topic(self._run)
            if self._flights:
                client.run(partial(stop_run, self._run), on_error="ignore")
                until = time.monotonic() + _STOP_SECONDS
                while time.monotonic() < until and any(
                    not flight.future.done() for flight in self._flights.values()
                ):
                    time.sleep(0.05)
                client.cancel([flight.future for flight in self._flights.values()])
        except (OSError, TimeoutError, RuntimeError, AttributeError, ValueError) as error:
            _LOG.info("the run could not be ended in order: %s", error)
        self._flights.clear()

    def _heard(self, event: tuple[float, list[int]]) -> None:
        """A worker told of its unit; called in the thread of the connection."""
        unit, letters, sequences = event[1]
        self._news.put((unit, letters, sequences))

    def _hand_out(self) -> None:
        """Give every free worker a unit."""
        fleet = self._fleet
        workers = fleet._roster.without(fleet._standing.left_out)
        # The scheduler chooses an idle one. A unit bound to workers by name would wait for ever if
        # these die before others come, so units are bound only where somebody is left out.
        allowed = frozenset(workers) if fleet._standing.left_out else frozenset()
        self._free_bound(workers)
        for _ in range(len(workers) * (1 + self._ahead) - len(self._flights)):
            drawn = self._draw()
            if drawn is None:
                return
            item, tries = drawn
            self._count += 1
            order = Order(self._count, self._run, self._folder, self._software)
            future = fleet._client.submit(
                do_unit,
                self._function,
                item,
                order,
                key=f"{self._run}-{self._count}",
                workers=sorted(allowed) or None,
                pure=False,
            )
            self._flights[self._count] = _Flight(item, future, tries, allowed)
            future.add_done_callback(partial(self._done, self._count))

    def _free_bound(self, workers: set[str]) -> None:
        """Take back units whose workers are all gone."""
        for unit, flight in list(self._flights.items()):
            if flight.allowed and not flight.allowed & workers:
                del self._flights[unit]
                flight.future.cancel()
                self._again.append((flight.item, flight.tries))

    def _draw(self) -> tuple[Any, int] | None:
        if self._again:
            return self._again.popleft()
        if self._drained:
            return None
        for item in self._source:
            return item, 1
        self._drained = True
        return None

    def _done(self, unit: int, future: Any) -> None:
        self._news.put(unit)

    def _take_in(self, unit: int) -> Iterator[Any]:
        """What became of a unit: a result, another try, a loss, or the end of all."""
        flight = self._flights[unit]
        future, standing = flight.future, self._fleet._standing
        if future.status in ("cancelled", "lost"):
            raise FleetEndedError(
                "the scheduler is gone",
                where=self._fleet._address,
                cause="it has ended, or the network is cut",
                hint="everything committed is kept; run the same command again",
            )
        if future.status == "error":
            del self._flights[unit]
            self._failed(flight, "", _scheduler_says(future.exception()), final=True)
            return
        try:
            outcome: Outcome = future.result(timeout=_FETCH_SECONDS)
        except (TimeoutError, OSError):
            self._news.put(unit)  # the worker is gone with it: the scheduler has it made anew
            return
        except Exception as error:
            del self._flights[unit]
            self._failed(flight, "", _scheduler_says(error), final=True)
            return
        del self._flights[unit]
        future.release()
        address = outcome.worker.split(" ")[0]
        if outcome.refused:
            standing.left_out.add(address)
            self._again.append((flight.item, flight.tries))
        elif outcome.error is not None:
            self._refused(flight, address, outcome.error)
        elif outcome.failure:
            self._failed(flight, address, f"{outcome.worker}: {outcome.failure}")
        else:
            standing.proven.add(address)
            yield outcome.result

    def _refused(self, flight: _Flight, address: str, error: GenebError) -> None:
        """A unit ended with a message for the user."""
        if isinstance(error, InterruptedRunError):  # a device that failed; others may not
            self._failed(flight, address, error.message)
        elif self._at_fault(address):
            self._leave_out(flight, address, error.message)
        else:
            raise error

    def _failed(self, flight: _Flight, address: str, why: str, *, final: bool = False) -> None:
        """A unit ended with an error, or its workers died of it."""
        if self._at_fault(address) and not final:
            self._leave_out(flight, address, why)
        elif final or flight.tries > RETRIES:
            self.lost.append((flight.item, f"{why} ({flight.tries} tries)" if not final else why))
        else:
            self._again.append((flight.item, flight.tries + 1))

    def _at_fault(self, address: str) -> bool:
        """Whether it is rather the worker than the unit: others have done units, it has not."""
        proven = self._fleet._standing.proven
        return address not in proven and bool(proven)

    def _leave_out(self, flight: _Flight, address: str, why: str) -> None:
        self._fleet._standing.left_out.add(address)
        self._fleet._note(f"the worker {address} is left out: {why}")
        self._again.append((flight.item, flight.tries))


def _scheduler_says(error: BaseException | None) -> str:
    """Why the scheduler gave a unit up."""
    if type(error).__name__ == "KilledWorker":
        last = getattr(getattr(error, "last_worker", None), "address", "?")
        count = getattr(error, "allowed_failures", RETRIES) + 1
        return (
            f"{count} workers died while they did it, the last one {last}: out of memory, killed, "
            "or the machine went away"
        )
    return f"{type(error).__name__}: {error}"
