"""A process that writes a small store and, on demand, dies or fails at a chosen point.

Run by the tests: ``python store_writer.py ROOT [--kill-before N] [--kill-in-commit N]
[--file-size-limit BYTES] [--order SEED] [--pause SECONDS]``. It prints how many events it saw.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from geneb_jax.errors import GenebError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.store import EmbeddingStore
from geneb_jax.store.array import ShardedArray

WIDTH, ROWS, ROWS_PER_SHARD = 6, 24, 8
IDENTITY = EncoderIdentity("toy", "r", "w", "t", "mean", -1, "float32", "toy/1")


def content(count: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """The digests and rows that every writer writes."""
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 256, (count, 16)).astype(np.uint8)
    return digests, rng.standard_normal((count, WIDTH)).astype(np.float32)


class Events:
    """Counts flushes, renames and array writes, and kills the process before a chosen one."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.kill_before: int | None = None

    def happens(self, name: str) -> None:
        if len(self.seen) == self.kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(name)

    def watch(self, owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self.happens(name)
            return original(*arguments, **options)

        setattr(owner, name, watched)

    def watch_context(self, owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        @contextmanager
        def watched(*arguments: Any, **options: Any) -> Iterator[None]:
            self.happens(name)
            with original(*arguments, **options):
                yield
            self.happens(f"{name} done")

        setattr(owner, name, watched)


def main() -> None:
    """Write all rows, shard by shard."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--kill-before", type=int)
    parser.add_argument("--kill-in-commit", type=int, default=1)
    parser.add_argument("--file-size-limit", type=int)
    parser.add_argument("--order", type=int)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=ROWS)
    options = parser.parse_args()
    if options.file_size_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_size_limit,) * 2)
    digests, rows = content(options.count)
    order = np.arange(options.count)
    if options.order is not None:
        order = np.random.default_rng(options.order).permutation(options.count)
    events = Events()
    try:
        store = EmbeddingStore.open(options.root, IDENTITY, WIDTH, rows_per_shard=ROWS_PER_SHARD)
        events.watch(os, "fsync")
        events.watch(pathlib.Path, "replace")
        events.watch_context(ShardedArray, "writing")
        for number, first in enumerate(range(0, options.count, ROWS_PER_SHARD)):
            events.seen.clear()
            events.kill_before = None
            if number == options.kill_in_commit:
                events.kill_before = options.kill_before
            chosen = order[first : first + ROWS_PER_SHARD]
            store.commit(digests[chosen], rows[chosen])
            time.sleep(options.pause)
    except GenebError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)
    print(",".join(events.seen))


if __name__ == "__main__":
    main()
