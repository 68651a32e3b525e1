"""The boxes of :mod:`bench.accelerator`, each a generator of lines; run in a process of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.accelerator_forwards import Ready, families, ready
from bench.accelerator_reference import compared_with_cpu
from bench.accelerator_whole import share_of_parts
from bench.product_errors import ALGORITHMS, emulated
from bench.torch_loop import torch_lines
from geneb_jax.embed.device_peaks import peak_flops
from geneb_jax.models.precision import PRODUCTS, auto_dtype, float32_products, using_products

__all__ = ["run_box"]

_RUNS = 5
_PROTOCOL = {"rows": 8000, "dim": 2560, "classes": 2, "task_count": 20, "repeats": 2}
_SMALL_PROTOCOL = {"rows": 200, "dim": 32, "classes": 2, "task_count": 2, "repeats": 1}


@dataclass(frozen=True, slots=True)
class Box:
    """What a box is told: whether to stay small, which models, and how long it has."""

    dry: bool
    models: tuple[str, ...]
    until: float

    @property
    def over(self) -> bool:
        """Whether its time is up: what takes long is not begun any more."""
        return time.monotonic() > self.until

    @property
    def batch(self) -> dict[str, int | None]:
        """Tokens of a batch and of a row."""
        return {"tokens": 128, "length": 64} if self.dry else {"tokens": 32768, "length": None}


def run_box(name: str, rows: Path, *, dry: bool, models: list[str] | None, seconds: float) -> None:
    """Write the lines of a box as they come; what fails is a line, and the next is tried."""
    box = Box(dry, tuple(models or ()), time.monotonic() + seconds)
    with rows.open("a", encoding="utf-8") as file:
        for line in _BOXES[name](box):
            file.write(json.dumps(line) + "\n")
            file.flush()


def attempt(what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A line; an error is one too."""
    try:
        return {"what": what, **measure()}
    except Exception as error:  # a card that lacks memory, a kernel that it lacks
        return {"what": what, "error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


def milliseconds(run: Callable[[], Any], runs: int = _RUNS) -> float:
    """The median of some runs after one that is not counted."""
    jax.block_until_ready(run())
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        jax.block_until_ready(run())
        taken.append(1e3 * (time.perf_counter() - began))
    return float(np.median(taken))


def timed(made: Ready, dtype: str) -> dict[str, Any]:
    """A forward's time beside its estimate, its rate, and its share of the peak."""
    measured = milliseconds(made.run)
    first = jax.local_devices()[0]
    peak = peak_flops(first.device_kind, dtype)
    return {
        "measured_ms": measured,
        "estimated_ms": made.estimated_ms,
        "tokens_per_second": made.tokens / measured * 1e3,
        "of_peak": made.flops / (measured / 1e3) / peak if peak else None,
        "temp_bytes": made.temp_bytes,
        "kernels": made.kernels,
        "custom_calls": made.custom_calls,
        "without": made.without,
        "compile_seconds": made.compile_seconds,
        "finite": bool(np.isfinite(np.asarray(made.run())).all()),
    }


def _smoke(box: Box) -> Iterator[dict[str, Any]]:
    import jaxlib

    first = jax.local_devices()[0]
    yield {
        "what": "versions",
        "device": first.device_kind,
        "platform": first.platform,
        "devices": jax.local_device_count(),
        "capability": getattr(first, "compute_capability", None),
        "memory_bytes": (first.memory_stats() or {}).get("bytes_limit"),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "auto_dtype": auto_dtype(),
        "float32_products": float32_products(),
    }
    for dtype in ("bfloat16", "float32"):
        yield attempt(
            f"tiny-nt-v2 {dtype}",
            lambda dtype=dtype: timed(ready("tiny-nt-v2", dtype, **box.batch), dtype),
        )
    yield attempt("one fit", _one_fit)


def _one_fit() -> dict[str, Any]:
    from geneb_jax_probes import fit_logistic
    from geneb_jax_probes.synthetic import decaying_features

    X, y = decaying_features(500, 32)
    began = time.perf_counter()
    fits = fit_logistic(X, y, solver="exact")
    return {
        "seconds": time.perf_counter() - began,
        "dtype": fits.dtype,
        "converged": bool(fits.converged.all()),
    }


def _embed(box: Box) -> Iterator[dict[str, Any]]:
    chosen = box.models or (("tiny-nt-v2", "tiny-nt-v1") if box.dry else families())
    for name in chosen:
        for dtype in ("bfloat16",) if box.dry else ("bfloat16", "float32"):
            if box.over:
                yield {"what": f"{name} {dtype}", "error": "not begun: the box's time was up"}
                continue
            yield attempt(
                f"{name} {dtype}",
                lambda name=name, dtype=dtype: timed(ready(name, dtype, **box.batch), dtype),
            )
    yield from torch_lines(dry=box.dry)


def _precision(box: Box) -> Iterator[dict[str, Any]]:
    size = 256 if box.dry else 4096
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    part = left[:128].astype(np.float64) @ right.astype(np.float64)
    known = PRODUCTS.get(jax.default_backend(), ())
    for name in [one.name for one in known] or ["highest"]:
        yield attempt(f"product {size} by {name}", partial(_product, name, left, right, part))
    model = "tiny-nt-v2" if box.dry else "nucleotide-transformer-v2-50m-multi-species"
    base = None
    for name in ["highest", *(one.name for one in known if one.name != "highest")]:
        if box.over:
            return
        with using_products(name):
            made = ready(model, "float32", **box.batch)
            found = np.asarray(made.run())
            base = found if base is None else base
            line = timed(made, "float32")
        error = float(np.abs(found - base).max() / np.abs(base).max())
        yield {"what": f"{model} float32 by {name}", "error_to_highest": error, **line}


def _product(name: str, left: np.ndarray, right: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    with jax.default_matmul_precision(name):
        product = jax.jit(jnp.matmul).lower(left, right).compile()
    a, b = jnp.asarray(left), jnp.asarray(right)
    scale = np.abs(exact).max()
    line = {
        "milliseconds": milliseconds(lambda: product(a, b)),
        "largest_error": float(
            np.abs(np.asarray(product(a, b))[: len(exact)] - exact).max() / scale
        ),
    }
    if name in ALGORITHMS:
        there = emulated(name, left[: len(exact)], right)
        line["emulated_error"] = float(np.abs(there - exact).max() / scale)
    return line


def _probes(box: Box) -> Iterator[dict[str, Any]]:
    from geneb_jax.runs.probe_throughput import measure_probes

    sizes = _SMALL_PROTOCOL if box.dry else _PROTOCOL
    strengths = (0.1, 1.0) if box.dry else (0.01, 0.1, 1.0, 10.0, 100.0)
    for solver in ("reference", "exact"):
        width = 16 if box.dry else 2560
        said = f"{solver}, packed beside task by task"
        yield attempt(said, partial(_packed_beside, width, solver))
    for classes in (2,) if box.dry else (2, 5, 20):
        if box.over:
            return
        found = measure_probes(**(sizes | {"classes": classes}), strengths=strengths, peer=False)
        for part in found["parts"]:
            named = f"{part['what']}, K {classes}, {sizes['task_count']} tasks of {sizes['rows']}"
            yield {
                "what": f"{named} x {sizes['dim']}",
                "fits": part["fits"],
                "cold_seconds": part["first_seconds"],
                "warm_seconds": part["seconds"],
            }


def _packed_beside(width: int, solver: str) -> dict[str, Any]:
    """Tasks fitted in one program, which has kernels of its own, beside the same task by task."""
    from geneb_jax_probes import FeatureRows, ProbeTask, fit_tasks
    from geneb_jax_probes.packed.room import Room

    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((4000, width)).astype(np.float32)
    tasks = []
    for rows, classes in ((20, 2), (1500, 2), (3000, 3), (700, 20)):
        chosen = rng.choice(len(matrix), rows + 500)
        slope = rng.standard_normal((width, classes)) / np.sqrt(width)
        y = np.argmax(matrix[chosen] @ slope + rng.gumbel(size=(len(chosen), classes)), axis=1)
        y[:classes] = np.arange(classes)
        train, test = (FeatureRows(matrix, part) for part in (chosen[:rows], chosen[rows:]))
        draw = rng.choice(rows, min(rows, 10 * classes), replace=False)
        tasks.append(ProbeTask(train, y[:rows], test, y[rows:], [None, draw]))
    room = Room(columns=64, pieces=1024)
    fit_tasks(tasks, packed=room, solver=solver)
    began = time.perf_counter()
    together = fit_tasks(tasks, packed=room, solver=solver, keep_predictions=True)
    seconds = time.perf_counter() - began
    apart = fit_tasks(tasks, packed=False, solver=solver, keep_predictions=True)
    pairs = list(zip(together, apart, strict=True))
    return {
        "warm_seconds": seconds,
        "fits": sum(one.n_iter.size for one in together),
        "step_counts_that_differ": sum(int((a.n_iter != b.n_iter).sum()) for a, b in pairs),
        "most_steps": max(int(one.n_iter.max()) for one in apart),
        "rows_predicted_otherwise": sum(
            int((a.predictions != b.predictions).sum()) for a, b in pairs
        ),
        "largest_relative_error": max(
            float(np.nanmax(np.abs(a.objective / b.objective - 1))) for a, b in pairs
        ),
    }


def _correctness(box: Box) -> Iterator[dict[str, Any]]:
    chosen = box.models or (("tiny-nt-v2",) if box.dry else families(most_parameters=600_000_000))
    for name in chosen:
        for dtype in ("float32", "bfloat16"):
            if box.over:
                yield {"what": f"{name} {dtype}", "error": "not begun: the box's time was up"}
                continue
            yield attempt(f"{name} {dtype}", partial(compared_with_cpu, name, dtype))


def _whole(box: Box) -> Iterator[dict[str, Any]]:
    models = box.models or ("tiny-nt-v2",)
    if not (box.dry or box.models):
        models = ("tiny-nt-v2", "hyenadna-medium-160k-seqlen-hf")
    for name in models:
        yield attempt(f"{name} to a store", partial(share_of_parts, name, 64 if box.dry else 8192))


_BOXES: dict[str, Callable[[Box], Iterator[dict[str, Any]]]] = {
    "smoke": _smoke,
    "embed": _embed,
    "precision": _precision,
    "probes": _probes,
    "correctness": _correctness,
    "whole": _whole,
}
