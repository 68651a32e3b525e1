"""What a caller did wrong, as subclasses of :class:`ValueError`."""

from __future__ import annotations

__all__ = ["ProbeDataError", "ProbeError", "ProbeOptionError"]


class ProbeError(ValueError):
    """Base of the errors of this package."""


class ProbeDataError(ProbeError):
    """Features or labels that cannot be fitted; the message names rows."""


class ProbeOptionError(ProbeError):
    """An option outside its range."""
