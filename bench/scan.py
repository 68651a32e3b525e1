"""Time and memory of the selective scan's forms on this device.

``python -m bench.scan`` prints one JSON line a form: seconds (best of three), bytes beyond inputs
and outputs, bytes moved at least (inputs read once, outputs written once), their rate, and the
ratios to the associative form. ``--rows --length --channels --states`` set the shape.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from bench.measuring import measure
from geneb_jax_kernels.selective_scan import selective_scan, selective_scan_associative


def main() -> None:
    """Measure every form."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 8), ("length", 4096), ("channels", 512), ("states", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    shape = parser.parse_args()
    inputs = draw(shape.rows, shape.length, shape.channels, shape.states)
    forms: dict[str, Callable[..., Any]] = {
        "associative": selective_scan_associative,
        "sequential": partial(selective_scan, form="sequential"),
        "chunked": partial(selective_scan, form="chunked"),
    }
    if jax.default_backend() == "gpu":
        forms["fused"] = partial(selective_scan, form="fused")
    baseline = None
    for name, form in forms.items():
        row = measure(form, inputs)
        baseline = baseline or row["seconds"]
        row["times_faster_than_associative"] = baseline / row["seconds"]
        about = vars(shape) | {"device": jax.devices()[0].device_kind, "form": name}
        print(json.dumps(about | row), flush=True)


def draw(rows: int, length: int, channels: int, states: int) -> list[jax.Array]:
    """Inputs of the size: x, step, rate, B, C, skip."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    arrays = [
        normal(rows, length, channels),
        np.exp(normal(rows, length, channels) - 3),
        -np.exp(normal(channels, states)),
        normal(rows, length, states),
        normal(rows, length, states),
        normal(channels),
    ]
    return [jax.device_put(array) for array in arrays]


if __name__ == "__main__":
    main()
