"""Batched probes against their peers: seconds, ratios and correctness side by side.

``python bench/probes.py --tasks FOLDER`` runs everything (about half an hour on two cores);
``--only kmer,encoder`` and ``--modes protocol,sweep`` run parts, whose records join those already
in ``--out``. Peers: scikit-learn one fit at a time (the reference procedure repeats the full regime
once a seed, a careful loop fits it once), scikit-learn-intelex where installed, torch's L-BFGS;
each with the faster of one and two threads, in the faster precision, the best of up to five runs as
ours. Compilation is shown apart: ``ours_cold`` is the first call of the process, ``ours`` the best
of the five after it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import sklearn
import threadpoolctl
from probe_few_shot import measure_few_shot
from probe_peers import PEERS
from probe_problems import SETS, feature_set
from probe_protocol import measure_protocol
from probe_sweep import measure_sweep

#: Settings that may pin OpenBLAS to another machine's kernels, or all peers to one thread.
PINNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
COLUMNS = {
    "set": "{}",
    "mode": "{}",
    "ours": "{:.3f}",
    "ours_cold": "{:.1f}",
    "ratio_to_reference_procedure": "{:.1f}",
    "ratio_of_float32": "{:.1f}",
    "ratio_of_reference32": "{:.1f}",
    "ratio_to_careful": "{:.1f}",
    "ratio_to_sklearn": "{:.1f}",
    "ratio_to_intelex": "{:.1f}",
    "ratio_to_torch": "{:.1f}",
    "slowest_single_ratio": "{:.2f}",
    "grams": "{:.1f}",
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "blas": [{key: pool.get(key) for key in ("internal_api", "version", "architecture")}
                 for pool in blas],
    }  # fmt: skip


def main() -> None:
    """Measure the chosen parts, print the table, join the record."""
    if any(name in os.environ for name in PINNED):
        # OpenBLAS chooses when NumPy is imported, which has happened: start anew without them.
        clean = {name: value for name, value in os.environ.items() if name not in PINNED}
        os.execve(sys.executable, [sys.executable, *sys.argv], clean)
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tasks", type=Path, required=True, help="folder of task files")
    parser.add_argument("--only", default=",".join(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--modes", default="protocol,sweep")
    parser.add_argument("--peers", default=",".join(PEERS), help="of the sweep")
    parser.add_argument("--no-check", action="store_true", help="skip the optimum by scikit-learn")
    parser.add_argument("--out", type=Path, default=Path("bench/results/probes.json"))
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"records": []}
    for name in options.only.split(","):
        features = feature_set(name, options.tasks)
        modes = ["fewshot"] if name == "fewshot" else options.modes.split(",")
        for mode in modes:
            if mode == "protocol":
                record = measure_protocol(features)
            elif mode == "fewshot":
                record = measure_few_shot(features)
            else:
                record = measure_sweep(
                    features, options.peers.split(","), check=not options.no_check
                )
            show(record)
            same = (record["set"], record["mode"])
            kept["records"] = [
                one for one in kept["records"] if (one["set"], one["mode"]) != same
            ] + [record]
            kept["machine"] = machine()
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(kept, indent=1))


def show(record: dict[str, Any]) -> None:
    """Print one record: its row of the table, its correctness, its slowest tasks."""
    for key, form in COLUMNS.items():
        if key in record:
            print(f"{key} {form.format(record[key])}", end="  ")
    print()
    for dtype in ("float64", "float32", "reference32"):
        if dtype in record:
            print(f"    {dtype}: {record[dtype]}")
    for row in record.get("tasks", []):
        short = {
            key: float(f"{value:.3g}") if isinstance(value, float) else value
            for key, value in row.items()
        }
        print("   ", json.dumps(short), flush=True)


if __name__ == "__main__":
    main()
