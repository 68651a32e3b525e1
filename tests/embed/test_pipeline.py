"""What goes on beside the device: in order, bounded, nothing lost and no failure kept quiet."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.embed import embed_into, opening, plan_shards, shard_work
from geneb_jax.embed.opening import open_store, shard_rows, work_rows
from geneb_jax.embed.pipeline import Committer, Stopped, computed_ahead
from geneb_jax.errors import StoreError
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore


def test_results_come_in_order_and_no_more_than_two_are_on_their_way() -> None:
    drawn: list[int] = []
    running, most = [0], [0]
    guard = threading.Lock()

    def items() -> Any:
        for item in range(20):
            drawn.append(item)
            yield item

    def compute(item: int, stop: threading.Event) -> int:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01 if item % 2 else 0.001)
        with guard:
            running[0] -= 1
        return item

    seen = []
    for result in computed_ahead(compute, items()):
        seen.append(result)
        assert len(drawn) <= len(seen) + 1
    assert seen == list(range(20)) and most[0] == 2


def test_a_failure_comes_after_the_results_before_it_and_stops_what_runs() -> None:
    started, ended = [], []

    def compute(item: int, stop: threading.Event) -> int:
        started.append(item)
        try:
            if item == 2:
                raise ValueError("third")
            if item == 3 and stop.wait(30):
                raise Stopped
            return item
        finally:
            ended.append(item)

    seen, began = [], time.monotonic()
    with pytest.raises(ValueError, match="third"):
        for result in computed_ahead(compute, iter(range(9))):
            seen += [result]
    assert seen == [0, 1] and sorted(started) == sorted(ended)
    assert time.monotonic() - began < 20


def test_whoever_leaves_early_waits_for_the_threads() -> None:
    started, ended, going = [], [], threading.Event()

    def compute(item: int, stop: threading.Event) -> int:
        started.append(item)
        if item:
            going.set()
            stop.wait(30)
        ended.append(item)
        return item

    results = computed_ahead(compute, iter(range(5)))
    assert next(results) == 0
    going.wait(30)
    results.close()
    assert sorted(started) == sorted(ended) == [0, 1]


def test_a_commit_that_fails_is_raised_by_the_next_call_and_the_others_are_made() -> None:
    made = []

    def commit(item: int) -> None:
        if item == 1:
            raise StoreError("full")
        made.append(item)

    with pytest.raises(StoreError, match="full"), Committer(commit) as committer:
        for item in range(5):
            committer.put(item)
    assert made == [0, 2]
    with pytest.raises(StoreError, match="full"), Committer(commit) as committer:
        committer.put(1)
    made.clear()
    with pytest.raises(KeyboardInterrupt), Committer(commit) as committer:
        committer.put(0)
        committer.put(3)
        raise KeyboardInterrupt
    assert made == [0, 3]


def test_a_full_disk_in_the_middle_ends_the_embedding_and_keeps_whole_shards(
    tmp_path: Path, table: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, sequences = build_kmer_encoder(2), table(draw(200, 20, 60))

    def opened() -> EmbeddingStore:
        return EmbeddingStore.open(tmp_path, encoder.identity, encoder.width, rows_per_shard=16)

    commit, calls = EmbeddingStore.commit, []

    def full(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) == 4:
            raise StoreError("cannot write 1 bytes, 0 bytes are free")
        return commit(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(EmbeddingStore, "commit", full)
        with pytest.raises(StoreError, match="0 bytes are free"):
            embed_into(opened(), encoder, sequences)
    kept = len(opened())
    assert 48 <= kept < 200 and kept % 16 == 0
    report = embed_into(opened(), encoder, sequences)
    assert report.embedded == 200 - kept and not len(opened().missing(sequences.digests))


def test_networks_are_cut_as_before_and_counting_by_bytes_and_letters(
    tmp_path: Path, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Network:
        any_rows, width = False, 512

        def __init__(self, parameters: int) -> None:
            self.parameter_count = parameters

    for millions, rows in ((1, 2048), (25, 2048), (50, 1024), (100, 512), (7000, 128)):
        network = Network(millions * 1_000_000)
        assert shard_rows(network) == work_rows(network) == rows
    for k, rows in ((1, 65536), (4, 12288), (6, 1024)):
        encoder = build_kmer_encoder(k)
        assert work_rows(encoder) == rows and shard_rows(encoder) == 2048
        store = open_store(tmp_path, encoder)
        assert store.rows_per_shard >= rows
        assert store.rows_per_shard * encoder.width * 4 <= opening._SHARD_BYTES
    monkeypatch.setattr(shard_work, "_MOST_BP", 100)
    sequences = table(["A" * 60, "C" * 60, "G" * 60, "T" * 30, "A" * 10, "C" * 5])
    planned = plan_shards(sequences, np.arange(6), rows_per_shard=3)
    assert [shard.bp for shard in planned] == [120, 100, 5]
    assert [len(shard) for shard in planned] == [2, 3, 1]
