"""A whole run of k-mers beside the same protocol in NumPy and scikit-learn alone.

``python bench/whole_run.py FOLDER`` (task files ``<task_id>.csv[.gz]``) starts, in turn:

- bare: ``bench/bare_protocol.py``, features in float32; with one thread and with all cores, the
  shorter of which counts;
- cold: ``geneb-jax run -m kmer-4`` with an empty cache: programs are compiled, leaks searched for;
- warm: the same once more with that cache, and a store and an output folder that are new.

Each is a process of its own, from its first import on. Wall seconds are what is waited for; CPU
seconds, of the process and of what it started, are what is paid for: a run computes beside its own
commits, scikit-learn's loop does not. With ``--rounds N`` they alternate and the least of each is
taken: on a shared machine all are inflated. Prints JSON with the ratios to bare, both ways, and the
goals, and how far the scores of the two are apart; exits with 1 where cold and warm score unlike.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOALS = {"cold": 1.3, "warm": 0.7}
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def seconds_of(command: list[str], env: dict[str, str]) -> dict[str, float]:
    """Wall and CPU seconds of a process with its children; its failure is ours."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return {"wall": wall, "cpu": cpu}


def mcc_of(path: Path) -> dict[tuple[str, str, str], float]:
    """(task, regime, seed) -> MCC of a table of scores."""
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["task_id"], row["regime"], row["seed"]): float(row["mcc"])
            for row in csv.DictReader(file)
            if row["mcc"]
        }


def one_round(
    folder: Path, place: Path
) -> tuple[dict[str, dict[str, float]], dict[str, float | int]]:
    """Seconds of each, and how the scores compare."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "GENEB_JAX_"))}
    ours = plain | {"GENEB_JAX_CACHE": str(place / "cache")}
    bare = place / "bare.csv"
    script = str(Path(__file__).with_name("bare_protocol.py"))
    alone = [sys.executable, script, str(folder), str(bare)]
    threads = [seconds_of(alone, plain | _ONE_THREAD), seconds_of(alone, plain)]
    # The setting that its user would choose, by what is waited for.
    spent = {"bare": min(threads, key=lambda one: one["wall"])}
    run = [sys.executable, "-m", "geneb_jax.cli.main", "run", "-m", "kmer-4"]
    for name in ("cold", "warm"):
        where = ["--out", str(place / name), "--store", str(place / f"{name}-store")]
        spent[name] = seconds_of([*run, "--data-dir", str(folder), *where], ours)
    tables = [(place / name / "scores.csv").read_bytes() for name in ("cold", "warm")]
    if tables[0] != tables[1]:
        sys.exit("cold and warm give other scores")
    theirs, found = mcc_of(bare), mcc_of(place / "cold" / "scores.csv")
    apart = [abs(found[key] - mcc) for key, mcc in theirs.items() if key in found]
    return spent, {"fits": len(apart), "mean_dmcc": sum(apart) / max(len(apart), 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    rounds = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as place:
            rounds.append(one_round(asked.folder.resolve(), Path(place)))
    ratios: dict[str, dict[str, float]] = {name: {} for name in GOALS}
    for kind in ("wall", "cpu"):
        least = {name: min(one[name][kind] for one, _ in rounds) for name in ("bare", *GOALS)}
        for name in GOALS:
            ratios[name][kind] = least[name] / least["bare"]
    print(
        json.dumps(
            {
                "seconds": [spent for spent, _ in rounds],
                "ratio_to_bare": ratios,
                "goals": GOALS,
                "met": {
                    name: {kind: ratio <= goal for kind, ratio in ratios[name].items()}
                    for name, goal in GOALS.items()
                },
                **rounds[0][1],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
