"""Embeddings of the devices at hand against those of this machine's CPU, by another process.

``python -m bench.accelerator_reference MODEL FILE`` is that process: it computes in float32 on CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

__all__ = ["compared_with_cpu"]

_ROWS, _LENGTH = 4, 128
_ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 400


def compared_with_cpu(model: str, dtype: str) -> dict[str, Any]:
    """Largest difference of a pooled embedding, over its largest number, and the least cosine."""
    here = _embedded(model, dtype)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npy"
        subprocess.run(
            [sys.executable, "-m", "bench.accelerator_reference", model, str(file)],
            cwd=_ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            check=True,
            capture_output=True,
            timeout=_SECONDS,
        )
        there = np.load(file)
    scale = np.abs(there).max(axis=1)
    norms = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
    return {
        "largest_relative_error": float((np.abs(here - there).max(axis=1) / scale).max()),
        "least_cosine": float(((here * there).sum(axis=1) / norms).min()),
    }


def _embedded(model: str, dtype: str) -> np.ndarray:
    """Rows of random ids under weights drawn by NumPy: the same bytes on every device."""
    from bench.accelerator_forwards import inputs
    from bench.forward_programs import forward, without_weights
    from geneb_jax.embed.placement import Placement
    from geneb_jax.models.layers.parameters import random_parameters

    placement, platform = Placement(jax.local_devices()[:1]), jax.default_backend()
    made = forward(model, dtype, placement.mesh, platform, tokens=_ROWS * _LENGTH, length=_LENGTH)
    _, module = without_weights(model, dtype)
    params = placement.put_parameters(random_parameters(module, seed=0, dtype=dtype))
    ids, lengths = inputs(model, made.rows, made.length_tokens)
    lengths[1::2] -= made.length_tokens // 3
    return np.asarray(made.compile().program(params, *placement.put_rows(ids, lengths)))


if __name__ == "__main__":
    np.save(sys.argv[2], _embedded(sys.argv[1], "float32"))
