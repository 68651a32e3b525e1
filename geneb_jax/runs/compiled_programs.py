"""Keep compiled programs between processes: a resumed or repeated run compiles nothing anew."""

from __future__ import annotations

import os

import jax

from geneb_jax.places import cache_folder

__all__ = ["keep_compiled_programs"]

#: Programs that compile faster than this are not worth a file, in seconds.
WORTH_KEEPING_SECONDS = 0.5


def keep_compiled_programs() -> None:
    """Point JAX's compilation cache at ours, unless the user has chosen one or switched it off.

    JAX keys the programs by their text, its own version and the device; a folder that cannot be
    written only costs the time of compiling.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or jax.config.values["jax_compilation_cache_dir"]:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING_SECONDS)
