"""Where everything meets: tasks x models -> embeddings -> probes -> records -> report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["RunRequest", "run"]

if TYPE_CHECKING:
    from geneb_jax.runs.call import run as run
    from geneb_jax.runs.request import RunRequest as RunRequest


def __getattr__(name: str) -> Any:
    # Options are listed, and --help printed, before anything that checks or computes is loaded.
    if name == "run":
        from geneb_jax.runs.call import run

        return run
    if name == "RunRequest":
        from geneb_jax.runs.request import RunRequest

        return RunRequest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
