"""A small suite of random but learnable tasks, written as a user would write one."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

WriteTask = Callable[..., None]


def write_task(
    path: Path,
    seed: int,
    *,
    train: int = 60,
    test: int = 40,
    classes: int = 2,
    length_bp: int = 50,
    shared: int = 0,
) -> None:
    """Rows whose letter frequencies depend on the class, train first; ``shared`` are in both."""
    random = np.random.RandomState(seed)
    written: list[str] = []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label", "split"])
        for split, count in (("train", train), ("test", test)):
            for row in range(count):
                label = row % classes
                weights = np.array([3.0, 2.0, 2.0, 3.0]) + np.eye(4)[label % 4]
                letters = random.choice(list("ACGT"), size=length_bp, p=weights / weights.sum())
                text = "".join(letters)
                written.append(text)
                if split == "test" and row < shared:
                    text = written[row]
                writer.writerow([text, label, split])


@pytest.fixture
def suite_folder(tmp_path: Path) -> Path:
    """Three tasks in two categories; the protocol is GENEB's."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "suite.toml").write_text(
        'name = "toy"\n'
        'title = "Toy suite"\n'
        "simulated = true\n"
        "tasks = [\n"
        '  { id = "one", category = "Left" },\n'
        '  { id = "two", category = "Left" },\n'
        '  { id = "three", category = "Right" },\n'
        "]\n",
        encoding="utf-8",
    )
    for seed, (name, classes) in enumerate((("one", 2), ("two", 2), ("three", 3))):
        write_task(folder / f"{name}.csv", seed, classes=classes, shared=5 if name == "two" else 0)
    return folder
