"""A process that embeds a fixed list of sequences into a store that others may fill as well.

Run by the tests: ``python sharing_child.py ROOT GATE [--pause SECONDS] [--count N]
[--part I/N]``. It says
``ready`` when all is imported, waits for the file GATE, and prints its report as JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from geneb_jax.embed import embed_into
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import SequenceEncoder
from geneb_jax.part import read_part
from geneb_jax.store import EmbeddingStore

ROWS_PER_SHARD, WIDTH = 32, 4


class Slow(SequenceEncoder):
    """Letter counts, at a chosen number of seconds a shard."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.computed = 0

    @property
    def identity(self) -> EncoderIdentity:
        return EncoderIdentity("slow", "test", "none", "text", "sum", -1, "float32", "slow/1")

    @property
    def width(self) -> int:
        return WIDTH

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        time.sleep(self.pause)
        self.computed += len(sequences)
        counts = [[sequence.count(letter) for letter in "ACGT"] for sequence in sequences]
        return np.array(counts, np.float32)


def table(count: int) -> SimpleNamespace:
    """Random sequences of 20 to 60 bp and their digests."""
    rng = np.random.default_rng(0)
    letters = np.array(list("ACGT"))
    texts = ["".join(letters[rng.integers(0, 4, rng.integers(20, 61))]) for _ in range(count)]
    texts = list(dict.fromkeys(texts))
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    flat = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    return SimpleNamespace(sequences=tuple(texts), digests=flat)


def open_store(root: str, encoder: Slow) -> EmbeddingStore:
    """The store that all of them fill."""
    return EmbeddingStore.open(root, encoder.identity, encoder.width, rows_per_shard=ROWS_PER_SHARD)


def main() -> None:
    """Embed what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("gate", type=Path)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--count", type=int, default=640)
    parser.add_argument("--part", type=lambda text: read_part(text, {}))
    options = parser.parse_args()
    sequences, encoder = table(options.count), Slow(options.pause)
    store = open_store(options.root, encoder)
    print("ready", flush=True)
    while not options.gate.exists():
        time.sleep(0.005)
    report = embed_into(store, encoder, sequences, part=options.part)
    print(json.dumps({**asdict(report), "computed": encoder.computed}), flush=True)


if __name__ == "__main__":
    main()
