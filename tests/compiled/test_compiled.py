"""Programs compiled for devices that are not here; skipped where the extra ``compile`` is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.compile_targets import missing_packages, read_target
from bench.compiling import Job, compile_job, jobs

_ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.compiled


def require(target: str) -> None:
    missing = missing_packages(read_target(target))
    if missing:
        pytest.skip(
            f"{', '.join(missing)} not installed: `make compiled` has an environment for it"
        )


def compile_for(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """What ``python -m bench.compiled ... --json`` ends with, and its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.compiled", "--json", *arguments],
        cwd=_ROOT,
        env=os.environ | {"XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr[-2000:]
    return done.returncode, rows


def faults(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['model']} {row['dtype']}: {row['error'] or row['over_budget']}"
        for row in rows
        if row["error"] or row["over_budget"]
    ]


def test_a_small_forward_and_a_probe_compile_within_their_budgets() -> None:
    require("h100")
    code, rows = compile_for(
        "-m", "tiny-nt-v2", "--probes", "--only", "tiny-nt-v2,counts,exact-gram"
    )
    assert (code, faults(rows)) == (0, [])
    assert [(row["model"], row["dtype"]) for row in rows] == [
        ("tiny-nt-v2", "bfloat16"),
        ("tiny-nt-v2", "float32"),
        ("exact-gram", "float64"),
        ("counts", "float64"),
    ]
    half, full = rows[:2]
    assert half["kernels"] > 0 and half["bytes"] > half["bytes_needed"] > 0
    assert half["estimated_ms"] < full["estimated_ms"]
    assert "__cudnn$fmhaSoftmax" in half["custom_calls"] and full["custom_calls"] == {}


def test_eight_devices_talk_about_nothing() -> None:
    require("h100")
    code, rows = compile_for(
        *("-m", "tiny-nt-v2", "-m", "hyenadna-medium-160k-seqlen-hf", "--devices", "8"),
        *("--dtype", "bfloat16", "--tokens", "8192"),
    )
    assert (code, faults(rows)) == (0, [])
    assert [row["collectives"] for row in rows] == [[], []]


def test_a_program_that_does_not_compile_is_a_line() -> None:
    row = compile_job(Job("forward", "tiny-nt-v2", "float7", "no such target", 1, 64, None))
    assert "no such target" in row["error"] and row["kernels"] is None
    assert (row["model"], row["dtype"]) == ("tiny-nt-v2", "float7")


def test_every_published_model_and_every_probe_is_a_program() -> None:
    chosen = jobs(read_target("h100"))
    assert len({job.model for job in chosen if job.kind == "forward"}) == 41
    assert sum(job.kind == "forward" for job in chosen) == 82
    assert sum(job.kind == "probe" for job in chosen) > 10
    with pytest.raises(KeyError, match="unknown model"):
        jobs(read_target("h100"), models=["no such model"])


def probe_suite(*arguments: str) -> dict[str, Any]:
    """What ``python -m bench.probe_suite --json`` found within its limits."""
    require("h100")
    done = subprocess.run(
        [sys.executable, "-m", "bench.probe_suite", "--json", *arguments],
        cwd=_ROOT,
        env=os.environ | {"XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["exceeded"] == []
    return found


def test_a_suite_is_probed_by_few_programs_that_ask_the_host_little() -> None:
    found = probe_suite()
    assert (found["tasks"], found["fits"], found["exceeded"]) == (100, 1100, [])
    assert found["programs"] <= 6 and found["syncs_a_tick"] <= 3
    assert found["launches_a_tick"] <= 100 and found["seconds"] < 5
    assert found["gigabytes read in ticks"] > 2 * 4e-9 * 2560 * found["distinct rows"]


@pytest.mark.sweep
def test_so_is_a_sweep_over_c() -> None:
    found = probe_suite("--solver", "exact")
    assert (found["tasks"], found["fits"]) == (100, 500)
    assert found["programs"] <= 11 and found["syncs_a_tick"] <= 3
    assert found["launches_a_tick"] <= 100 and found["seconds"] < 10


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_all_forwards_compile_within_their_budgets(dtype: str) -> None:
    require("h100")
    code, rows = compile_for("--dtype", dtype)
    assert (code, faults(rows)) == (0, [])


@pytest.mark.sweep
def test_no_forward_of_eight_devices_has_a_collective() -> None:
    require("h100")
    code, rows = compile_for("--dtype", "bfloat16", "--devices", "8")
    assert (code, faults(rows)) == (0, [])


@pytest.mark.sweep
def test_a_model_of_every_family_compiles_for_a_tpu() -> None:
    require("v5e")
    from geneb_jax.models.registry import registry

    smallest: dict[str, Any] = {}
    for spec in sorted(registry().values(), key=lambda spec: spec.parameters):
        smallest.setdefault(spec.family, spec)
    names = [part for spec in smallest.values() for part in ("-m", spec.model_id)]
    code, rows = compile_for("--target", "v5e", "--dtype", "bfloat16", *names)
    assert (code, faults(rows)) == (0, [])
