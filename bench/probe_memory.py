"""Peak memory of a five-C sweep and of the reference solver, beyond the features given.

``python bench/probe_memory.py`` (Linux) prints, for each solver, the rise of the resident set's
peak in bytes, and as ``a X + b d^2``: the bytes of X and what is left of six d x d float32 arrays.
Programs are compiled beforehand on few rows of the same capacity.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from geneb_jax_probes import fit_logistic

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _bytes(field: str) -> int:
    line = next(one for one in _STATUS.read_text().splitlines() if one.startswith(field))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=1024)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X = np.empty((options.rows, options.dim), np.float32)
    for start in range(0, options.rows, 1000):
        X[start : start + 1000] = rng.standard_normal((len(X[start : start + 1000]), options.dim))
    y = (X[:, 0] + X[:, 1] + rng.logistic(size=options.rows) > 0).astype(int)
    for solver, strengths in (("exact", (0.01, 0.1, 1.0, 10.0, 100.0)), ("reference", (1.0,))):
        few = slice(0, min(options.rows, 20_000))
        fit_logistic(X[few], y[few], C=strengths, solver=solver)
        _RESET.write_text("5")
        before = _bytes("VmRSS")
        fits = fit_logistic(X, y, C=strengths, solver=solver)
        rise = _bytes("VmHWM") - before
        squares = 6 * options.dim**2 * 4
        print(
            json.dumps(
                {
                    "solver": solver,
                    "X_bytes": X.nbytes,
                    "six_squares_bytes": squares,
                    "rise_bytes": rise,
                    "rise_less_squares_over_X": (rise - squares) / X.nbytes,
                    "status": fits.status[0].tolist(),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
