"""What is run once an accelerator is there: as a dry run, and its judgement of estimates apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.accelerator import BOXES, wrong_estimates
from bench.accelerator_forwards import families
from geneb_jax.models.registry import registry

_ROOT = Path(__file__).parents[2]


def test_an_estimate_is_wrong_from_a_factor_of_two_on() -> None:
    def line(what: str, measured: float, estimated: float | None) -> dict[str, Any]:
        return {"what": what, "measured_ms": measured, "estimated_ms": estimated}

    rows = [line("near", 9, 5), line("slow", 30, 10), line("fast", 1, 7), line("none", 1, None)]
    record = {"boxes": {"embed": {"rows": [*rows, {"what": "failed", "error": "no"}]}}}
    found = wrong_estimates(record)
    assert [(row["what"], round(row["factor"], 3)) for row in found] == [
        ("fast", 0.143),
        ("slow", 3.0),
    ]


def test_every_family_has_a_model_to_be_measured() -> None:
    chosen = [registry()[name] for name in families()]
    assert len({spec.family for spec in chosen}) == len({s.family for s in registry().values()})
    assert [spec.parameters for spec in chosen] == sorted(spec.parameters for spec in chosen)
    assert set(families(most_parameters=10**8)) < set(families())


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.accelerator", "--dry-run", *arguments],
        cwd=_ROOT,
        env=os.environ | {"XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr[-2000:]


@pytest.mark.sweep
def test_a_dry_run_measures_every_box_and_keeps_one_record(tmp_path: Path) -> None:
    code, said = run("--out", str(tmp_path / "record.json"))
    assert code == 0, said
    record = json.loads((tmp_path / "record.json").read_text())
    assert list(record["boxes"]) == list(BOXES) and record["dry_run"]
    for name, box in record["boxes"].items():
        assert box["rows"] and not box["ended"], (name, box["ended"])
        errors = [row for row in box["rows"] if "error" in row and "torch" not in row["what"]]
        assert not errors, errors
    (same, half) = record["boxes"]["correctness"]["rows"]
    assert same["largest_relative_error"] < half["largest_relative_error"]


@pytest.mark.sweep
def test_a_box_whose_time_is_up_keeps_what_it_had(tmp_path: Path) -> None:
    code, said = run("--box", "smoke", "--minutes", "0.02", "--out", str(tmp_path / "record.json"))
    box = json.loads((tmp_path / "record.json").read_text())["boxes"]["smoke"]
    assert code == (not box["rows"]) and "its time" in box["ended"], said
