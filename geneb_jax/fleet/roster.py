"""Which workers there are, as the scheduler last said, and since when it has said nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from geneb_jax.fleet.losses import FleetEndedError

__all__ = ["Patience", "Roster"]

_LOOK_SECONDS, _ANSWER_SECONDS = 1.0, 10.0


class Patience:
    """How long things may stand still, in seconds.

    Args:
        silence: Without an answer from the scheduler.
        no_worker: Without a worker that could work, where workers cannot come from elsewhere.
        paused: While every worker is paused for want of memory.
    """

    def __init__(
        self, silence: float = 60.0, no_worker: float = 60.0, paused: float = 60.0
    ) -> None:
        self.silence, self.no_worker, self.paused = silence, no_worker, paused


class Roster:
    """Workers by address.

    Args:
        client: The connection to the scheduler.
        address: Where it listens.
        patience: How long it may be silent.
    """

    def __init__(self, client: Any, address: str, patience: Patience) -> None:
        self._client, self._address, self._patience = client, address, patience
        self._workers: dict[str, str] = {}
        self._looked = -_LOOK_SECONDS
        self._answered = time.monotonic()

    @property
    def running(self) -> set[str]:
        """Addresses of the workers that take work."""
        return {address for address, status in self._workers.items() if status == "running"}

    @property
    def paused(self) -> set[str]:
        """Addresses of the workers that wait for memory."""
        return {address for address, status in self._workers.items() if status == "paused"}

    def __len__(self) -> int:
        return len(self._workers)

    def look(self, *, now: bool = False) -> None:
        """Ask the scheduler, if the last answer is old.

        Raises:
            FleetEndedError: if it has been silent for too long.
        """
        if not now and time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        try:
            told = self._client.sync(
                self._client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS
            )
        except (OSError, TimeoutError, RuntimeError, AttributeError) as error:
            self._looked = time.monotonic()
            silent = self._looked - self._answered
            if silent >= self._patience.silence or self._client.status == "closed":
                raise FleetEndedError(
                    f"the scheduler has not answered for {silent:.0f} s",
                    where=self._address,
                    cause=f"it has ended, or the network is cut ({type(error).__name__})",
                    hint="everything committed is kept; run the same command again",
                ) from error
            return
        self._workers = {address: str(one["status"]) for address, one in told["workers"].items()}
        self._looked = self._answered = time.monotonic()

    def heard(self) -> None:
        """The scheduler has sent something of its own accord."""
        self._answered = time.monotonic()

    def without(self, addresses: Iterable[str]) -> set[str]:
        """The workers that take work and are none of these."""
        return self.running - set(addresses)
