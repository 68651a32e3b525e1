"""All 100 task ids present: the run writes a submission that the validator accepts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.benchmark import load_suite
from geneb_jax.results import validate_submission
from geneb_jax.runs import run

#: Few distinct sequences: the official test sets have 612,792 rows.
_LETTERS = [f"{a}{b}{c}{d}" for a in "ACGT" for b in "ACGT" for c in "ACGT" for d in "ACGT"]


def _write_all_tasks(folder: Path) -> None:
    generator = np.random.RandomState(1)
    for task in load_suite("geneb").tasks:
        lines = ["text,label,split"]
        # As many test rows as the official test set: anything else is no submission.
        for row in range(24 + task.test_rows):
            label = row % 2
            text = ("GC" if label else "AT") + _LETTERS[generator.randint(len(_LETTERS))]
            lines.append(f"{text},{label},{'train' if row < 24 else 'test'}")
        (folder / f"{task.task_id}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.sweep
def test_a_whole_run_is_a_valid_submission(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    _write_all_tasks(data)
    outcome = run("kmer-1", data_dir=data, out=tmp_path / "out", store=tmp_path / "store")
    assert outcome.complete
    (path,) = outcome.submissions
    assert path.name == "kmer-1.json"
    assert validate_submission(path, load_suite("geneb")).accepted
    document = json.loads(path.read_text(encoding="utf-8"))
    assert {regime: len(scores) for regime, scores in document["results"].items()} == {
        "full": 100,
        "10shot": 100,
        "1shot": 100,
    }
    verdict = subprocess.run(
        [sys.executable, "-m", "geneb_jax", "submission", "validate", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
