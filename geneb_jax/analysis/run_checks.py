"""What was looked at in a run, kind by kind, and what was found: silence then means "nothing"."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RunCheck"]


@dataclass(frozen=True, slots=True)
class RunCheck:
    """One kind of fault that was looked for in the runs of a panel.

    Attributes:
        name: ``data``, ``coverage``, ``inputs``, ``one class`` or ``protocol``.
        found: Sentences on what was found; empty where it was looked for and nothing was.
    """

    name: str
    found: tuple[str, ...]
