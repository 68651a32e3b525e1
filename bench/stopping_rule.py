"""How far the stock stopping rule moves scores: the reference's stop against the optimum.

``python bench/stopping_rule.py --tasks FOLDER`` prints, for each feature set and regime, MCC at
both ends and how they differ over tasks and seeds, as a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from probe_problems import SEEDS, SHOTS, feature_set

from geneb_jax_probes import fit_tasks

#: Regime -> its subsets, in the order of the bench's tasks.
REGIMES = {
    "full": slice(0, 1),
    **{
        f"{shots}-shot": slice(1 + i * len(SEEDS), 1 + (i + 1) * len(SEEDS))
        for i, shots in enumerate(SHOTS)
    },
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tasks", type=Path, required=True, help="folder of task files")
    parser.add_argument("--only", default="kmer,encoder")
    options = parser.parse_args()
    print("| features | regime | tasks | steps | MCC, stock | MCC, optimum | mean change |"
          " mean size of change | largest |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.only.split(","):
        tasks = feature_set(name, options.tasks).tasks
        stock = fit_tasks(tasks, solver="reference")
        best = fit_tasks(tasks, solver="exact", dtype="float64")
        for regime, rows in REGIMES.items():
            # A task's score is its mean over seeds.
            a = np.array([one.mcc[rows, 0].mean() for one in stock])
            b = np.array([one.mcc[rows, 0].mean() for one in best])
            steps = np.concatenate([one.n_iter[rows, 0] for one in stock])
            worst = int(np.argmax(np.abs(b - a)))
            print(
                f"| {name} | {regime} | {len(tasks)} | {steps.min()}-{steps.max()} | {a.mean():.3f}"
                f" | {b.mean():.3f} | {(b - a).mean():+.3f} | {np.abs(b - a).mean():.3f}"
                f" | {(b - a)[worst]:+.3f} ({tasks[worst].name}) |"
            )


if __name__ == "__main__":
    main()
