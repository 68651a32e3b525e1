"""What many workers cost: ``local:N`` beside one process, on embedding with a small transformer.

``python -m bench.fleet`` prints one JSON object. Both sides embed the same random sequences into a
new store; programs are compiled before (JAX's cache), weights are random.

- ``startup_seconds``: from nothing to the first unit at work, and what one process needs to begin;
- ``engine_share``: share of the workers' time, from the first unit to the last, in which they had
  none: handing out, taking in, waiting for the last one;
- ``engine_share_asleep``: the same of units that only sleep for ``--unit-seconds``: the engine
  alone;
- ``wall_seconds`` and ``cpu_seconds`` of embedding on either side; the workers' CPU is that of all
  their life.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from geneb_jax.embed import Forward, embed_into, open_store
from geneb_jax.fleet.opening import open_fleet
from geneb_jax.models import LoadOptions
from geneb_jax.runs import fleet_embedding
from geneb_jax.runs.compiled_programs import keep_compiled_programs
from geneb_jax.runs.encoder_source import EncoderSource, ModelReference
from geneb_jax.runs.fleet_embedding import embed_on_fleet, prepare_worker
from geneb_jax.runs.observer import RunObserver


def main() -> None:
    """Measure one process, then the fleet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-nt-v2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=24_576)
    parser.add_argument("--bp", type=int, default=500)
    parser.add_argument("--unit-seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    keep_compiled_programs()
    fleet_embedding.UNIT_SECONDS = chosen.unit_seconds
    options = LoadOptions(weights="random", dtype="float32")
    source = EncoderSource(chosen.model, options)
    with tempfile.TemporaryDirectory() as folder:
        encoder = source.load()
        texts = table(chosen.rows, chosen.bp)
        warm = table(2048, chosen.bp, seed=1)
        began = time.perf_counter()
        forward = Forward(encoder)  # type: ignore[arg-type]
        embed_into(open_store(Path(folder) / "warm", encoder), encoder, warm, forward=forward)
        ready = time.perf_counter() - began
        store = open_store(Path(folder) / "one", encoder)
        one = measured(lambda: embed_into(store, encoder, texts, forward=forward))
        place = Path(folder) / "many"
        model = ModelReference(source, encoder.identity, encoder.width, str(place))
        many = measured(lambda: on_fleet(chosen.workers, model, open_store(place, encoder), texts))
    report = many["result"]
    asleep = sleeping(chosen.workers, chosen.unit_seconds)
    print(
        json.dumps(
            {
                "model": chosen.model,
                "rows": len(texts.sequences),
                "workers": chosen.workers,
                "startup_seconds": round(report["startup"], 2),
                "startup_of_one_process_seconds": round(ready, 2),
                "units": len(report["units"]),
                "median_unit_seconds": round(float(np.median(report["units"])), 2),
                "engine_share": round(report["idle"], 4),
                "engine_share_asleep": round(asleep, 4),
                "wall_seconds": {
                    "one": round(one["wall"], 1),
                    "many": round(report["wall"], 1),
                },
                "cpu_seconds": {"one": round(one["cpu"], 1), "many": round(many["cpu"], 1)},
            }
        )
    )


def on_fleet(workers: int, model: ModelReference, store: Any, texts: Any) -> dict[str, Any]:
    """Embed with a fleet; its times, in seconds."""
    began = time.perf_counter()
    units: list[tuple[float, float]] = []
    with open_fleet(f"local:{workers}", prepare=prepare_worker) as fleet:
        take = fleet_embedding._FleetRun._take

        def taken(run: Any, unit: Any) -> None:
            units.append((time.perf_counter(), unit.seconds))
            take(run, unit)

        fleet_embedding._FleetRun._take = taken  # type: ignore[method-assign]
        embed_on_fleet(fleet, store, model, texts, RunObserver())
        fleet_embedding._FleetRun._take = take  # type: ignore[method-assign]
    first = min(end - seconds for end, seconds in units)
    wall = max(end for end, _ in units) - first
    return {
        "startup": first - began,
        "wall": wall,
        "units": [seconds for _, seconds in units],
        "idle": 1.0 - sum(seconds for _, seconds in units) / (workers * wall),
    }


def sleeping(workers: int, seconds: float, *, units: int = 3) -> float:
    """Share of the workers' time between units that only sleep."""
    with open_fleet(f"local:{workers}") as fleet:
        list(fleet.map(time.sleep, [0.0] * workers))
        began = time.perf_counter()
        list(fleet.map(time.sleep, [seconds] * (units * workers)))
        wall = time.perf_counter() - began
    return 1.0 - units * seconds / wall


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Wall and CPU seconds of a call, processes that it starts and ends included."""
    began, before = time.perf_counter(), cpu()
    result = work()
    return {"result": result, "wall": time.perf_counter() - began, "cpu": cpu() - before}


def cpu() -> float:
    """CPU seconds of this process and of those that it has ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def table(rows: int, bp: int, *, seed: int = 0) -> SimpleNamespace:
    """Random sequences of one length and their digests."""
    letters = np.frombuffer(b"ACGT", np.uint8)
    flat = letters[np.random.default_rng(seed).integers(0, 4, (rows, bp))]
    texts = tuple(row.tobytes().decode() for row in flat)
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return SimpleNamespace(
        sequences=texts, digests=np.frombuffer(digests, np.uint8).reshape(-1, 16)
    )


if __name__ == "__main__":
    main()
