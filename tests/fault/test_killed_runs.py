"""F01, F02, F49: a run killed at any moment and repeated ends with the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.report_pages import timeless


@pytest.fixture(scope="module")
def suite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    names = [f"task-{number}" for number in range(6)]
    tasks = "".join(f'  {{ id = "{name}", category = "Only" }},\n' for name in names)
    (folder / "suite.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = [\n{tasks}]\n', encoding="utf-8"
    )
    generator = np.random.RandomState(0)
    for name in names:
        lines = ["text,label,split"]
        for row in range(400):
            text = "".join(generator.choice(list("ACGT"), size=60 + row % 7))
            lines.append(f"{text},{row % 2},{'train' if row < 300 else 'test'}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _start(suite: Path, place: Path) -> subprocess.Popen[bytes]:
    arguments = ["run", "-m", "kmer-3", "-m", "kmer-2", "--suite", str(suite)]
    arguments += ["--out", str(place / "out"), "--store", str(place / "store")]
    return subprocess.Popen(
        [sys.executable, "-m", "geneb_jax", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"GENEB_JAX_CACHE": str(place / "cache")},
    )


def _finish(suite: Path, place: Path) -> dict[str, bytes]:
    """Every file of the finished run but those that have times, and remnants nobody reads."""
    process = _start(suite, place)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said.decode()
    out = place / "out"
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    found = {
        str(path.relative_to(out)): path.read_bytes()
        for path in files
        if path.name not in ("run.json", "cost.json") and path.suffix != ".tmp"
    }
    assert {"scores.csv", "summary.csv", "report.html"} <= found.keys()
    found["report.html"] = timeless(found["report.html"])
    # Two models, six tasks, three regimes: a record and its predictions each; a task's
    # answers and its repeats.
    assert sum(name.endswith(".npz") for name in found) == 2 * 6 * 3 + 6 + 6
    # Beside them what the suite, each task's files and each model are, and the lock.
    assert sum(name.startswith("records") for name in found) == 2 * 2 * 6 * 3 + 1 + 6 + 2 + 1
    return found


@pytest.fixture(scope="module")
def undisturbed(
    suite_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    place = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    return _finish(suite_folder, place), time.monotonic() - started


def _kill_and_finish(
    suite: Path,
    place: Path,
    undisturbed: tuple[dict[str, bytes], float],
    moments: list[float],
    how: int,
) -> None:
    expected, _ = undisturbed
    for moment in moments:
        process = _start(suite, place)
        done_before = True
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            done_before = (place / "out" / "report.html").exists()
            process.send_signal(how)
            process.communicate(timeout=60)
        stopped = -how if how == signal.SIGKILL else 75
        assert process.returncode == stopped or (process.returncode == 0 and done_before)
    assert _finish(suite, place) == expected


@pytest.mark.parametrize("share", [0.45, 0.75, 0.95])
@pytest.mark.fault("F01", "F02")
def test_killed_once(
    share: float, suite_folder: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    moment = share * undisturbed[1]
    _kill_and_finish(suite_folder, tmp_path, undisturbed, [moment], signal.SIGKILL)


@pytest.mark.fault("F49", "F71")
def test_a_notice_to_leave_is_an_orderly_stop(
    suite_folder: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    moments = [0.8 * undisturbed[1]]
    _kill_and_finish(suite_folder, tmp_path, undisturbed, moments, signal.SIGTERM)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.fault("F01", "F02")
def test_killed_at_twenty_random_moments(
    suite_folder: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    """One folder, killed twenty times in a row, then finished."""
    generator = random.Random(4)
    moments = [generator.uniform(0.1, 1.0) * undisturbed[1] for _ in range(20)]
    _kill_and_finish(suite_folder, tmp_path, undisturbed, moments, signal.SIGKILL)
