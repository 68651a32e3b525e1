"""Windows find what stands behind the context, and truncation does not, for every kind of model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embed.planted_signal import MODELS, found_by

_ROOT = Path(__file__).parents[2]
#: Whose programs take half a minute to compile or run.
SLOW = ("hyenadna", "caduceus", "torch")
#: Letters of the context where it is a fixed number of them.
_CONTEXT = {"esm": 6 * 399, "hyenadna": 640, "caduceus": 640}


def check(model: str, found: dict[str, object], letters: int, sequences: int) -> None:
    """Who found it, and exact counts of what was cut off."""
    assert float(str(found["mcc_windows"])) > 0.9
    if model == "kmer-4":  # nothing is beyond a context that it has not
        assert found["windows"] == "truncate" and found["mcc_truncate"] == found["mcc_windows"]
        assert found["cut_bp_truncate"] == 0 and found["windows_windows"] == sequences
        return
    assert abs(float(str(found["mcc_truncate"]))) < 0.5
    if model == "extractor":  # it says nothing of what it cuts
        assert found["cut_bp_truncate"] is None and found["windows_windows"] is None
        return
    assert found["cut_bp_windows"] == 0 and found["windows_truncate"] == sequences
    if model in _CONTEXT:
        assert found["cut_bp_truncate"] == sequences * (letters - _CONTEXT[model])
        size, stride = map(int, str(found["windows"]).split(":")[1:])
        whole, left = divmod(letters - size, stride)
        assert found["windows_windows"] == sequences * (whole + 1 + (left > 0))


@pytest.mark.parametrize(
    "model", [pytest.param(m, marks=pytest.mark.sweep if m in SLOW else ()) for m in MODELS]
)
def test_a_signal_at_nine_tenths_of_20_kb(model: str, tmp_path: Path) -> None:
    letters = 10_000 if model == "torch" else 20_000  # its context is of 96 tokens
    check(model, found_by(model, letters, 18, tmp_path), letters, 18)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", MODELS)
def test_a_signal_at_base_900_000_of_a_megabase(model: str, tmp_path: Path) -> None:
    """In a process of its own, below 2 GiB."""
    command = [sys.executable, "-m", "tests.embed.planted_signal", model, "1000000", "24"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=_ROOT, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    check(model, found, 1_000_000, 24)
    assert found["peak_bytes"] < 2 * 2**30
