"""Sequences a second of native models beside a torch loop, on real tasks, with the same weights.

``python -m bench.embedding --tasks FOLDER`` prints one JSON line a case and a table. Peers, each at
its better setting of one and two threads, both sides at the better of two runs after a warm-up:

- ``loop``: batches of 8 in the order given, padded to the longest of the batch;
- ``habit``: as the reference extractor of the Nucleotide Transformer, which pads every record to
  the model's 2048 tokens.

The peers get their tokens made; our time includes tokenizing. Compiling is reported apart.
``--model``, ``--case`` and ``--rows`` choose a part, so that each stays within a few minutes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.torch_peers import PEERS, embed_loop, save_folder
from geneb_jax.embed import Forward, embed_sequences
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder

#: Case to (task, what the peer pads to): None is the longest of the batch.
CASES: dict[str, tuple[str, int | None]] = {
    "fixed": ("leannmlindsey_GUE_emp_H3", None),
    "NHEK": ("iPro-WAEL_Promoter_NHEK", None),
    "HUVEC": ("iPro-WAEL_Promoter_HUVEC", None),
    "habit": ("leannmlindsey_GUE_emp_H3", 2048),
}
THREADS = (1, 2)


def main() -> None:
    """Measure the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="folder of <task_id>.csv.gz")
    parser.add_argument("--model", choices=PEERS, action="append")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rows", type=int, default=192)
    parser.add_argument("--habit-rows", type=int, default=16)
    chosen = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for model_id in chosen.model or PEERS:
            peer = save_folder(model_id, Path(folder) / model_id)
            encoder = load_encoder(model_id, LoadOptions(path=Path(folder) / model_id))
            assert isinstance(encoder, TokenEncoder)
            for case in chosen.case or CASES:
                if case == "habit" and encoder.longest_tokens != CASES[case][1]:
                    continue
                rows = chosen.habit_rows if case == "habit" else chosen.rows
                sequences = read(chosen.tasks / f"{CASES[case][0]}.csv.gz", rows)
                results.append(
                    {"model": model_id, "case": case}
                    | compare(encoder, peer, sequences, pad_to=CASES[case][1])
                )
                print(json.dumps(results[-1]), flush=True)
    show(results)


def read(file: Path, rows: int) -> list[str]:
    """Distinct sequences of a task, drawn at random and in random order."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        texts = list(dict.fromkeys(row["text"] for row in csv.DictReader(lines)))
    return [texts[at] for at in np.random.default_rng(0).permutation(len(texts))[:rows]]


def compare(
    encoder: TokenEncoder, peer: Any, sequences: list[str], *, pad_to: int | None
) -> dict[str, Any]:
    """Rates of both sides, their ratio, and the largest relative difference of an embedding."""
    tokens = encoder.tokenize_many(sequences)
    ids = [tokens.ids[a:b] for a, b in zip(tokens.starts[:-1], tokens.starts[1:], strict=True)]
    forward = Forward(encoder)
    start = time.perf_counter()
    embed_sequences(encoder, sequences, forward=forward)
    first = time.perf_counter() - start
    forward.padded_tokens = 0
    ours, seconds = timed(lambda: embed_sequences(encoder, sequences, forward=forward))
    padded = forward.padded_tokens / 2
    theirs = {}
    for threads in THREADS:
        torch.set_num_threads(threads)
        embed_loop(peer, ids[:8], pad_id=encoder.pad_id)
        reference, theirs[threads] = timed(
            lambda: embed_loop(peer, ids, pad_id=encoder.pad_id, pad_to=pad_to)
        )
    best = min(theirs.values())
    scale = np.abs(reference).max(axis=1)
    total = int(tokens.length_tokens.sum())
    return {
        "rows": len(sequences),
        "tokens": total,
        "sequences_per_second": len(sequences) / seconds,
        "tokens_per_second": total / seconds,
        "padding_share": 1 - total / padded,
        "compile_seconds": max(0.0, first - seconds),
        "peer_sequences_per_second": {n: len(sequences) / taken for n, taken in theirs.items()},
        "times_faster": best / seconds,
        "largest_relative_error": float((np.abs(ours - reference).max(axis=1) / scale).max()),
    }


def timed(run: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Result and the better time of two runs, seconds."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def show(results: list[dict[str, Any]]) -> None:
    """A table for people, on stderr."""
    print(
        f"{'model':46}{'case':8}{'rows':>5}{'ours/s':>9}{'peer/s':>9}{'ratio':>7}{'error':>9}",
        file=sys.stderr,
    )
    for row in results:
        peer = max(row["peer_sequences_per_second"].values())
        print(
            f"{row['model']:46}{row['case']:8}{row['rows']:5}{row['sequences_per_second']:9.1f}"
            f"{peer:9.1f}{row['times_faster']:7.2f}{row['largest_relative_error']:9.1e}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
