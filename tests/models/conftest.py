"""Sequences that every parity test of a model uses."""

from __future__ import annotations

import csv
import gzip
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

# On tiny models torch's threads spend their time waiting for each other: 25 times slower.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sequences() -> list[str]:
    """64 sequences of 1 to 800 bp with N, lower case and other letters, and the empty one."""
    generator = np.random.default_rng(7)
    lengths = [1, 5, 6, 7, 11, *generator.integers(12, 800, 58)]
    drawn = ["".join(generator.choice(list("ACGT"), size=length)) for length in lengths]
    drawn[10] = drawn[10][:40] + "N" * 9 + drawn[10][40:]
    drawn[11] = "N" * 30
    drawn[12] = drawn[12][:50] + "nnacgtR" + drawn[12][50:]
    drawn[13] = drawn[13].lower()
    return [*drawn, ""]


@pytest.fixture(scope="session")
def real_sequences(real_tasks: Path) -> list[str]:
    """64 sequences of real tasks of different lengths, interleaved."""
    files = sorted(real_tasks.glob("*.csv.gz"))[::4]
    columns = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            columns.append([row["text"] for row in islice(csv.DictReader(lines), 10)])
    return [text for row in zip(*columns, strict=True) for text in row][:64]
