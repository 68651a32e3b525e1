"""F40: eight processes on one store and one output folder; F01: some of them killed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def crowd(rounds: int, seed: int) -> dict[str, int]:
    """Run the rounds in a process of their own, which forks before it uses a store."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.fault.crowd"]
    command += ["--rounds", str(rounds), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.fault("F01", "F40")
def test_f40_eight_processes_agree_though_one_is_killed() -> None:
    assert crowd(2, 0)["processes"] == 8


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.fault("F01", "F40")
def test_f40_eight_processes_agree_a_hundred_times() -> None:
    assert crowd(100, 100)["killed"] > 25
