"""Where things are kept when the user does not say: one cache folder, named by one variable."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["cache_folder", "store_folder"]


def cache_folder() -> Path:
    """``$GENEB_JAX_CACHE``, or the user's cache folder as the platform defines it."""
    named = os.environ.get("GENEB_JAX_CACHE")
    return Path(named).expanduser() if named else user_cache_path("geneb-jax")


def store_folder() -> Path:
    """Embeddings: shared by all runs, since a vector belongs to its sequence and model alone."""
    return cache_folder() / "embeddings"
