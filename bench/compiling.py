"""One program compiled for a target and counted, in a process that :mod:`bench.compiled` keeps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.compile_targets import Target, mesh_of, read_target
from bench.hlo_text import read_module
from bench.roofline import costs_of

__all__ = ["Job", "compile_job", "jobs"]

_DTYPES = ("bfloat16", "float32")


@dataclass(frozen=True, slots=True)
class Job:
    """A program by name. ``kind`` is ``forward`` or ``probe``."""

    kind: str
    model: str
    dtype: str
    target: str
    devices: int
    tokens: int
    length: int | None

    def row(self, **figures: Any) -> dict[str, Any]:
        """The line of a program."""
        return {
            "kind": self.kind,
            "model": self.model,
            "dtype": self.dtype,
            "target": self.target,
            "devices": self.devices,
            **figures,
        }

    def failed(self, error: str) -> dict[str, Any]:
        """The line of a program that does not compile; figures are None."""
        names = ("kernels", "bytes", "bytes_needed", "temp_bytes", "estimated_ms")
        return self.row(**dict.fromkeys(names), collectives=[], custom_calls={}, error=error[:500])


def jobs(
    target: Target,
    *,
    models: Sequence[str] | None = None,
    probes: bool = False,
    dtypes: Sequence[str] | None = None,
    devices: int = 1,
    tokens: int | None = None,
    length: int | None = None,
) -> list[Job]:
    """The programs of these models, of the probes, or (where neither is named) of all.

    Raises:
        KeyError: for an unknown model; the message names it.
    """
    from geneb_jax.errors import SelectionError
    from geneb_jax.models.registry import find_spec, registry

    try:
        named = [find_spec(name).model_id for name in models or ()]
    except SelectionError as error:
        raise KeyError(str(error)) from error
    if not models and not probes:
        named = list(registry())
    size = target.tokens if tokens is None else tokens
    found = [
        Job("forward", name, dtype, target.name, devices, size, length)
        for name in named
        for dtype in dtypes or _DTYPES
    ]
    if probes or not models:
        from bench.probe_programs import PROBES, dtype_of

        found += [
            Job("probe", name, dtype_of(name, target.platform), target.name, 1, 0, None)
            for name in PROBES
        ]
    return found


@cache
def _mesh(target: str, devices: int) -> tuple[Target, Any]:
    known = read_target(target)
    return known, mesh_of(known, devices)


def compile_job(job: Job, keep_hlo: str | None = None) -> dict[str, Any]:
    """Compile and count one program; a failure is a line too."""
    import jax

    began = time.perf_counter()
    try:
        target, mesh = _mesh(job.target, job.devices)
        platform = "gpu" if target.platform == "cuda" else target.platform
        if job.kind == "probe":
            from bench.probe_programs import probe

            made = probe(job.model, mesh, platform)
        else:
            from bench.forward_programs import forward

            made = forward(
                job.model, job.dtype, mesh, platform, tokens=job.tokens, length=job.length
            )
        compiled, without, _ = made.compile()
        text = compiled.as_text()
        costs = costs_of(read_module(text), target)
    except Exception as error:  # whatever it is, it belongs to this program
        return job.failed(f"{type(error).__name__}: {error}".splitlines()[0])
    if keep_hlo:
        folder = Path(keep_hlo)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{job.model}-{job.dtype}-{job.target}-{job.devices}.hlo"
        (folder / name.replace("/", "-")).write_text(text, encoding="utf-8")
    memory = compiled.memory_analysis()
    jax.clear_caches()
    return job.row(
        rows=made.rows,
        length_tokens=made.length_tokens,
        kernels=costs.kernels,
        trips=costs.trips,
        host_syncs=costs.host_syncs,
        flops=costs.flops,
        bytes=round(costs.bytes),
        bytes_needed=made.bytes_needed,
        argument_bytes=memory.argument_size_in_bytes,
        temp_bytes=memory.temp_size_in_bytes,
        collectives=sorted(costs.collectives),
        custom_calls=dict(sorted(costs.custom_calls.items())),
        estimated_ms=1e3 * costs.seconds,
        estimated_ms_by_kind={
            kind: round(1e3 * seconds, 3) for kind, seconds in costs.seconds_by_kind.most_common()
        },
        compile_seconds=round(time.perf_counter() - began, 2),
        without=without,
        error=None,
    )
