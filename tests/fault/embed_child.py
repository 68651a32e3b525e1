"""A process that embeds a fixed list of sequences into a store.

Run by the tests: ``python embed_child.py ROOT``. It says ``ready`` when all is imported and
``done`` with the seconds it took.
"""

from __future__ import annotations

import hashlib
import sys
import time
from types import SimpleNamespace

import numpy as np

from geneb_jax.embed import embed_into
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore

K, COUNT, ROWS_PER_SHARD, BATCH_TOKENS = 3, 1500, 32, 2000


def sequences() -> SimpleNamespace:
    """1500 random sequences of 20 to 120 bp and their digests."""
    rng = np.random.default_rng(0)
    letters = np.array(list("ACGTN"))
    texts = ["".join(letters[rng.integers(0, 5, rng.integers(20, 121))]) for _ in range(COUNT)]
    texts = list(dict.fromkeys(texts))
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    flat = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    return SimpleNamespace(sequences=tuple(texts), digests=flat)


def main() -> None:
    """Embed what is missing."""
    table, encoder = sequences(), build_kmer_encoder(K)
    print("ready", flush=True)
    started = time.monotonic()
    store = EmbeddingStore.open(
        sys.argv[1], encoder.identity, encoder.width, rows_per_shard=ROWS_PER_SHARD
    )
    embed_into(store, encoder, table, batch_tokens=BATCH_TOKENS)
    print("done", time.monotonic() - started, flush=True)


if __name__ == "__main__":
    main()
