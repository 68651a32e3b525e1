"""Where everything meets: tasks x models -> embeddings -> probes -> records -> report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geneb_jax.runs.request import RunRequest

__all__ = ["RunRequest", "run"]

if TYPE_CHECKING:
    from geneb_jax.runs.call import run as run


def __getattr__(name: str) -> Any:
    # Options are checked, and --help printed, before the engine's libraries load.
    if name == "run":
        from geneb_jax.runs.call import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
