"""How a fleet ends badly: units that nobody could do, a fleet that is gone, workers unlike us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geneb_jax.errors import GenebError, InterruptedRunError

__all__ = ["FleetEndedError", "LostUnitsError", "WorkerError"]

#: Reasons that a message shows.
_SHOWN = 3


class FleetEndedError(InterruptedRunError):
    """The scheduler or all workers are gone; what was committed is kept (exit code 75)."""


class WorkerError(GenebError):
    """A worker cannot do any unit: it has other software, or does not see the files."""


class LostUnitsError(GenebError):
    """Units that were tried several times in vain; all others are done (exit code 1).

    Attributes:
        lost: Each unit, and why it was given up.
    """

    exit_code = 1

    def __init__(self, lost: Sequence[tuple[Any, str]]) -> None:
        self.lost = tuple(lost)
        reasons = list(dict.fromkeys(why for _, why in lost))
        more = f" (and {len(reasons) - _SHOWN} other reasons)" if len(reasons) > _SHOWN else ""
        super().__init__(
            f"{len(lost)} units of work were given up",
            cause="; ".join(reasons[:_SHOWN]) + more,
            hint="everything else is kept; run the same command again to try these once more",
        )
