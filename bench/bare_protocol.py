"""The benchmark's protocol in NumPy and scikit-learn alone, as a plain script would have it.

Run as ``python bare_protocol.py FOLDER OUT.csv``: reads ``<task_id>.csv[.gz]`` (columns text, label
and split), makes 4-mer frequencies, fits a logistic regression a regime and seed (the full regime's
once: its five fits are the same fit), and writes task_id, regime, seed, mcc, accuracy, macro_f1.
Nothing of ours is imported: this is what a run of ours is measured against (bench/whole_run.py).
"""

from __future__ import annotations

import csv
import gzip
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

SEEDS = (13, 17, 42, 123, 997)
REGIMES = {"full": None, "10shot": 10, "1shot": 1}
K = 4


def frequencies(texts: list[str]) -> np.ndarray:
    """float32 ``[n, 4**K]``: the share of each word among the words of A, C, G, T of a text."""
    codes = np.full(256, -1, np.int64)
    for number, letters in enumerate(("Aa", "Cc", "Gg", "Tt")):
        codes[[ord(letter) for letter in letters]] = number
    places = 4 ** np.arange(K - 1, -1, -1)
    rows = np.zeros((len(texts), 4**K), np.float32)
    for row, text in enumerate(texts):
        letters = codes[np.frombuffer(text.encode("latin-1"), np.uint8)]
        if len(letters) < K:
            continue
        words = np.lib.stride_tricks.sliding_window_view(letters, K)
        counts = np.bincount(words[(words >= 0).all(axis=1)] @ places, minlength=4**K)
        if counts.any():
            rows[row] = counts / counts.sum()
    return rows


def read(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features and labels of the train and the test rows."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {}
    for split in ("train", "test"):
        own = [row for row in rows if row["split"] == split]
        labels = np.array([int(row["label"]) for row in own])
        parts[split] = frequencies([row["text"] for row in own]), labels
    return parts


def drawn(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Positions of so many rows of each class."""
    generator = np.random.RandomState(seed)
    return np.concatenate(
        [
            generator.choice(rows, size=min(shots, len(rows)), replace=False)
            for rows in (np.where(labels == label)[0] for label in np.unique(labels))
        ]
    )


def scores(path: Path) -> Iterator[tuple[str, int, float, float, float]]:
    """Regime, seed, MCC, accuracy and macro F1 of every fit of a task."""
    parts = read(path)
    (X, y), (X_test, y_test) = parts["train"], parts["test"]
    for regime, shots in REGIMES.items():
        for seed in SEEDS if shots else SEEDS[:1]:
            rows = drawn(y, shots, seed) if shots else slice(None)
            probe = LogisticRegression(max_iter=1000, random_state=seed).fit(X[rows], y[rows])
            found = probe.predict(X_test)
            yield (
                regime,
                seed,
                float(matthews_corrcoef(y_test, found)),
                float(accuracy_score(y_test, found)),
                float(f1_score(y_test, found, average="macro")),
            )


def main(folder: str, out: str) -> None:
    """Score every task file of a folder."""
    warnings.simplefilter("ignore")
    csv.field_size_limit(10**9)
    with Path(out).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task_id", "regime", "seed", "mcc", "accuracy", "macro_f1"])
        for path in sorted(Path(folder).glob("*.csv*")):
            for row in scores(path):
                writer.writerow([path.name.split(".csv")[0], *row])


if __name__ == "__main__":
    main(*sys.argv[1:])
