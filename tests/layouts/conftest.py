"""Labelled rows for every layout: real ones where the task files are here."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from tests.layouts.published_layouts import Row

_TASK = "leannmlindsey_GUE_prom_core_tata"
_COUNTS = {"train": 60, "dev": 7, "test": 40}


@pytest.fixture(scope="session")
def rows() -> tuple[Row, ...]:
    """107 rows of two classes: of a real promoter task, or drawn with unlike letters."""
    named = os.environ.get("GENEB_JAX_TASKS")
    here = Path(__file__).resolve().parents[3] / "shared" / "data" / "tasks"
    path = (Path(named) if named else here) / f"{_TASK}.csv.gz"
    total = sum(_COUNTS.values())
    if path.is_file():
        with gzip.open(path, "rt", newline="") as file:
            labelled = [(one["text"], int(one["label"])) for one in csv.DictReader(file)]
        zeros = [one for one in labelled if one[1] == 0][: total - total // 2]
        ones = [one for one in labelled if one[1] == 1][: total // 2]
        drawn = [pair for two in zip(zeros, ones, strict=False) for pair in two] + zeros[
            len(ones) :
        ]
    else:
        random = np.random.RandomState(5)
        weights = {0: [0.3, 0.2, 0.2, 0.3], 1: [0.2, 0.3, 0.3, 0.2]}
        drawn = [
            ("".join(random.choice(list("ACGT"), size=70, p=weights[at % 2])), at % 2)
            for at in range(total)
        ]
    splits = [split for split, count in _COUNTS.items() for _ in range(count)]
    return tuple(
        Row(text, label, split) for (text, label), split in zip(drawn, splits, strict=True)
    )
