"""Many faults after one another, on whole runs: the last byte is that of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.sweep
@pytest.mark.timeout(7200)
@pytest.mark.fault("F01", "F02", "F04", "F05", "F06", "F07", "F40", "F49", "F51", "F52")
def test_two_hundred_rounds_of_faults_end_with_the_same_bytes(tmp_path: Path) -> None:
    log = tmp_path / "soak.jsonl"
    command = [sys.executable, "-W", "ignore", "-m", "tests.fault.soak", "--log", str(log)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert len(log.read_text(encoding="utf-8").splitlines()) == 200
