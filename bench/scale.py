"""What a row costs as rows grow: time, CPU, memory, files, commits; and the records of a full grid.

``python -m bench.scale --rows N --model kmer-4`` embeds N simulated sequences into a new store, in
a process of its own, and prints one JSON line: microseconds a row (wall and CPU), the share of the
CPU and of the wall time that went to commits, how long the computation waited for them, memory,
files and bytes, bytes written by early and late commits; then how long a second process takes to
open the store, to find what is missing and to find nothing to do. ``--rows`` may be repeated.

``python -m bench.scale --records`` makes the records of 40 models x 100 tasks x 3 regimes x 5 C x
5 seeds and times what is derived from them; then adds one model.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["main"]

_BLOCK = 1 << 16


def main() -> None:
    """Measure what was asked for; each case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", default=[])
    parser.add_argument("--model", default="kmer-4")
    parser.add_argument("--letters", type=int, default=100, help="of each sequence")
    parser.add_argument("--records", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--step", choices=["fill", "again", "records", "add"], help="internal")
    options = parser.parse_args()
    if options.step:
        step: Callable[[argparse.Namespace], dict[str, Any]] = {
            "fill": fill,
            "again": again,
            "records": _records,
            "add": _added,
        }[options.step]
        print(json.dumps(step(options)))
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = {"rows": rows, "model": options.model}
            for name in ("fill", "again"):
                found |= _child(options, name, folder, rows)
            print(json.dumps(found), flush=True)
    if options.records:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for name in ("records", "add"):
                print(json.dumps(_child(options, name, folder, 0)), flush=True)


def _child(options: argparse.Namespace, step: str, folder: str, rows: int) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "bench.scale", "--step", step, "--folder", folder),
        *("--rows", str(rows), "--model", options.model, "--letters", str(options.letters)),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb() -> float:
    """Largest resident memory of this process so far, in 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def simulated(rows: int, letters: int) -> Any:
    """A table of random sequences, made block by block."""
    import numpy as np

    from geneb_jax.data import SequenceTable, sequence_digest
    from geneb_jax.data.text_buffer import TextBuffer

    chance, texts, digests = np.random.default_rng(0), TextBuffer(), []
    alphabet = np.frombuffer(b"ACGT", np.uint8)
    for first in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - first)
        block = alphabet[chance.integers(0, 4, (count, letters), dtype=np.uint8)]
        some = [row.tobytes().decode() for row in block]
        texts.extend(some)
        digests.append(np.frombuffer(b"".join(map(sequence_digest, some)), np.uint8))
    return SequenceTable(texts, np.concatenate(digests).reshape(-1, 16), (), ())


class Watch:
    """Adds up the seconds, wall and CPU of its thread, that a method takes."""

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self.each: list[float] = []
        original = getattr(owner, name)
        guard = threading.Lock()

        def timed(*arguments: Any, **options: Any) -> Any:
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                return original(*arguments, **options)
            finally:
                with guard:
                    self.each.append(time.perf_counter() - began)
                    self.seconds += self.each[-1]
                    self.cpu_seconds += time.thread_time() - cpu

        setattr(owner, name, timed)


def fill(options: argparse.Namespace) -> dict[str, Any]:
    """Embed all rows into a new store."""
    from geneb_jax.embed import embed_into, open_store
    from geneb_jax.embed.pipeline import Committer
    from geneb_jax.models import load_encoder
    from geneb_jax.store import EmbeddingStore, local_folder

    encoder, (rows,) = load_encoder(options.model), options.rows
    base_mb = peak_mb()
    table = simulated(rows, options.letters)
    table_mb = peak_mb()
    commits = Watch(EmbeddingStore, "commit")
    waits = [Watch(Committer, "put"), Watch(Committer, "settle")]
    bytes_of_commits: list[int] = []
    written = _count_bytes(local_folder)
    commit = EmbeddingStore.commit

    def counted(*arguments: Any) -> int:
        before = written[0]
        added = commit(*arguments)
        bytes_of_commits.append(written[0] - before)
        return added

    EmbeddingStore.commit = counted  # type: ignore[method-assign]
    store = open_store(options.folder, encoder)
    before, began = os.times(), time.perf_counter()
    report = embed_into(store, encoder, table)
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.user + after.system - before.user - before.system
    assert report.embedded == rows
    sizes = [path.stat().st_size for path in options.folder.rglob("*") if path.is_file()]
    return {
        "wall_us_a_row": round(wall / rows * 1e6, 2),
        "cpu_us_a_row": round(cpu / rows * 1e6, 2),
        "commits": len(commits.each),
        "commit_busy_share": round(commits.seconds / wall, 3),
        "commit_cpu_share": round(commits.cpu_seconds / cpu, 3),
        "commit_wait_share": round(sum(watch.seconds for watch in waits) / wall, 3),
        "small_bytes_a_commit": [
            bytes_of_commits[at] for at in (0, len(bytes_of_commits) // 2, -1)
        ],
        "import_mb": round(base_mb),
        "table_mb": round(table_mb),
        "peak_mb": round(peak_mb()),
        "files": len(sizes),
        "store_mb": round(sum(sizes) / 1e6, 1),
    }


def _count_bytes(module: Any) -> list[int]:
    """Count the bytes of small files from now on, in the first number of the list."""
    total, write = [0], module.write_bytes

    def counted(path: Path, content: bytes) -> None:
        total[0] += len(content)
        write(path, content)

    module.write_bytes = counted
    return total


def again(options: argparse.Namespace) -> dict[str, Any]:
    """Open a full store in a new process."""
    from geneb_jax.embed import embed_into, open_store
    from geneb_jax.models import load_encoder

    encoder, (rows,) = load_encoder(options.model), options.rows
    table = simulated(rows, options.letters)
    began = time.perf_counter()
    store = open_store(options.folder, encoder)
    opened = time.perf_counter()
    missing = store.missing(table.digests)
    looked = time.perf_counter()
    assert len(store) == rows and not len(missing)
    idle = time.perf_counter()
    report = embed_into(open_store(options.folder, encoder), encoder, table)
    assert report.embedded == 0
    return {
        "reopen_s": round(opened - began, 3),
        "missing_s": round(looked - opened, 3),
        "idle_s": round(time.perf_counter() - idle, 3),
        "again_peak_mb": round(peak_mb()),
    }


def _records(options: argparse.Namespace) -> dict[str, Any]:
    from bench.scale_records import make_and_derive

    return make_and_derive(options.folder)


def _added(options: argparse.Namespace) -> dict[str, Any]:
    from bench.scale_records import add_a_model

    return add_a_model(options.folder)


if __name__ == "__main__":
    main()
