"""Compile every program for a device that is not there, and count what it would do: an estimate.

``python -m bench.compiled`` compiles the pooled forwards of all published configurations (shapes
only) and the programs of the probes for ``--target`` (h100, v5e), prints a line each, and holds
them against ``bench/compiled_budgets.toml``. A program that does not compile is a line that names
it. Exit code 1 where one did not, or where a budget is exceeded; 2 where the compiler is missing.

``--json`` prints one line a program: model, dtype, target, devices, kernels, bytes, bytes_needed,
temp_bytes, collectives, custom_calls, estimated_ms and more. Figures are those of one device;
bytes_needed is every weight, and what enters and leaves products with them, once.

Needs the extra ``compile`` in an environment of its own (``make compiled``): an installed CUDA
plugin makes every start of JAX on a machine without a GPU complain.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from bench.compile_targets import TARGETS, missing_packages, read_target, set_environment
from bench.compiled_budgets import read_budgets
from bench.compiling import Job, compile_job, jobs

__all__ = ["main", "run_jobs"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile what was asked for; the exit code."""
    asked = _parser().parse_args(arguments)
    target = read_target(asked.target)
    missing = missing_packages(target)
    if missing:
        print(
            f"cannot compile for {target.name}: {', '.join(missing)} not installed\n"
            "  next: `make compiled`, or install geneb-jax[compile] in an environment of its own",
            file=sys.stderr,
        )
        return 2
    set_environment()
    try:
        chosen = jobs(
            target,
            models=asked.model,
            probes=asked.probes,
            dtypes=asked.dtype,
            devices=asked.devices,
            tokens=asked.tokens,
            length=asked.length,
        )
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    if asked.only:
        chosen = [job for job in chosen if job.model in asked.only.split(",")]
    budgets = read_budgets()
    usual = asked.tokens is None and asked.length is None and asked.devices == 1
    failed, rows = 0, []
    for row in run_jobs(chosen, keep_hlo=asked.keep_hlo):
        row["over_budget"] = budgets.exceeded(row, counted=usual)
        rows.append(row)
        failed += bool(row["error"] or row["over_budget"])
        print(json.dumps(row) if asked.json else _line(row), flush=True)
        for reason in row["over_budget"] if not asked.json else ():
            print(f"    over budget: {reason}", flush=True)
    if asked.propose_budgets:
        print(budgets.proposed(rows))
    elif not asked.json:
        print(f"{len(chosen)} programs, {failed} failed; milliseconds are estimates")
    return 1 if failed else 0


def run_jobs(chosen: Sequence[Job], *, keep_hlo: str | None = None) -> Iterator[dict[str, Any]]:
    """Compile in a process of its own, made anew where the compiler ended it."""
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=spawn)
    try:
        for job in chosen:
            try:
                yield pool.submit(compile_job, job, keep_hlo).result()
            except BrokenProcessPool:
                pool = ProcessPoolExecutor(1, mp_context=spawn)
                yield job.failed("the compiler ended the process")
    finally:
        pool.shutdown(cancel_futures=True)


def _line(row: dict[str, Any]) -> str:
    name = f"{row['model'][:50]:50} {row['dtype']:9}{row['devices']:2}"
    if row["error"]:
        return f"{name}  does not compile: {row['error']}"
    ratio = row["bytes"] / max(1, row["bytes_needed"])
    calls = ", ".join(f"{name} {count}" for name, count in row["custom_calls"].items())
    return (
        f"{name} {row['estimated_ms']:9.2f} ms {row['kernels']:7} kernels {row['trips']:6} trips "
        f"{row['bytes'] / 1e9:8.2f} GB ({ratio:5.1f}x) {row['temp_bytes'] / 1e9:6.2f} GB temp "
        f"{row['host_syncs']:5} syncs {' '.join(row['collectives']) or '-'} [{calls}]"
        f"{' ' + row['without'] if row['without'] else ''}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default="h100", choices=TARGETS)
    parser.add_argument("-m", "--model", action="append", help="model id; repeatable; default: all")
    parser.add_argument("--probes", action="store_true", help="the programs of the probes alone")
    parser.add_argument("--only", help="of what was chosen, the programs of these names (commas)")
    parser.add_argument("--devices", type=int, default=1, help="that share a batch")
    parser.add_argument("--dtype", action="append", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--tokens", type=int, help="of a batch, over all devices")
    parser.add_argument("--length", type=int, help="tokens a row; default: 512, or what fits")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--propose-budgets", action="store_true", help="end with limits that hold these figures"
    )
    parser.add_argument("--keep-hlo", metavar="FOLDER", help="write the optimised programs there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
