"""Whether a model's parameters fit into memory, asked before the first of them is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from geneb_jax.errors import ModelError
from geneb_jax.models.layers.parameters import compute_dtype

__all__ = ["parameter_bytes", "require_memory"]

_MEMINFO = Path("/proc/meminfo")
_GB = 1e9


def parameter_bytes(variables: Mapping[str, nnx.Param[Any]], *, dtype: str) -> int:
    """Bytes of all parameters in their compute dtype."""
    return sum(
        variable.get_value().size * compute_dtype(variable, dtype).itemsize
        for variable in variables.values()
    )


def require_memory(variables: Mapping[str, nnx.Param[Any]], *, dtype: str, model_id: str) -> None:
    """Refuse a model whose parameters alone are larger than the free memory.

    Args:
        variables: From :func:`~geneb_jax.models.layers.parameters.parameter_shapes`.
        dtype: Compute dtype.
        model_id: For the message.

    Raises:
        ModelError: if they do not fit, with both figures; never where the free memory is unknown.
    """
    needed, free = parameter_bytes(variables, dtype=dtype), _free_bytes()
    if free is None or needed <= free:
        return
    half = ", --dtype bfloat16 halves it" if dtype == "float32" else ""
    raise ModelError(
        f"the parameters need {needed / _GB:.1f} GB in {dtype}, {free / _GB:.1f} GB are free",
        where=model_id,
        hint=f"use a device with more memory{half}",
    )


def _free_bytes() -> int | None:
    """Free memory of the default device: its own, or the host's where it shares that."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return int(sizes["MemAvailable"][0]) * 1024 if "MemAvailable" in sizes else None
