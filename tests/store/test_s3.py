"""Stores in a bucket, by the protocol of S3: many writers, no locks, and a network that fails."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from geneb_jax.embed import embed_into, embed_sequences
from geneb_jax.errors import GenebError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore, list_stores, view
from tests.store.s3_proxy import FAULTS, Proxy, proxied

Rows = Callable[..., tuple[np.ndarray, np.ndarray]]
ROOT = "s3://vectors/some/place"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield running.get_host_and_port()
    running.stop()


@pytest.fixture
def proxy(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """An empty bucket ``vectors`` behind a proxy, where the environment says it is."""
    for method, path in (("POST", "/moto-api/reset"), ("PUT", "/vectors")):
        connection = http.client.HTTPConnection(*server)
        connection.request(method, path)
        assert connection.getresponse().status == 200
        connection.close()
    with proxied(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield proxy


def test_rows_come_back_and_small_shards_are_merged(
    proxy: Proxy, identity: EncoderIdentity, make_rows: Rows
) -> None:
    digests, rows = make_rows(30)
    store = EmbeddingStore.open(ROOT, identity, 6, rows_per_shard=16)
    for first in range(0, 30, 5):
        assert store.commit(digests[first : first + 5], rows[first : first + 5]) == 5
    other = EmbeddingStore.open(ROOT, identity, 6)
    assert other.read(digests[::-1]).tobytes() == rows[::-1].tobytes()
    assert other.verify() == []
    found = store.compact()
    assert (found.shards_before, found.shards_after) == (6, 2)
    assert other.read(digests).tobytes() == rows.tobytes()
    (entry,) = list_stores(ROOT)
    assert entry.contents is not None and entry.contents.row_count == 30


def test_four_writers_without_locks_write_every_row_once(
    proxy: Proxy, identity: EncoderIdentity, make_rows: Rows
) -> None:
    digests, rows = make_rows(64)
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            store = EmbeddingStore.open(ROOT, identity, 6, rows_per_shard=8)
            parts = np.random.default_rng(seed).permutation(8)
            for part in parts:
                span = slice(8 * part, 8 * part + 8)
                store.commit(digests[span], rows[span])
        except BaseException as error:
            failures.append(error)

    EmbeddingStore.open(ROOT, identity, 6, rows_per_shard=8)
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    store = EmbeddingStore.open(ROOT, identity, 6)
    assert len(store) == 64 and store.read(digests).tobytes() == rows.tobytes()
    assert store.verify() == []
    written = Counter(
        path.partition("?")[0]
        for method, path, status in proxy.requests
        if method == "PUT" and status == 200 and "/array/c/" in path
    )
    assert max(written.values()) == 1, "no shard was ever written over another"


def filled(encoder: object, table: SimpleNamespace) -> EmbeddingStore:
    """What a user does: start the command again until it ends well."""
    for _ in range(60):
        try:
            store = EmbeddingStore.open(ROOT, encoder.identity, encoder.width, rows_per_shard=32)
            embed_into(store, encoder, table, lease_seconds=1.0)
            return store
        except GenebError as error:
            assert "s3://vectors" in error.message, error.message
    raise AssertionError("it does not end")


def with_faults(proxy: Proxy, table: Callable[..., SimpleNamespace], count: int, seed: int) -> None:
    chance, letters = random.Random(seed), np.array(list("ACGT"))
    texts = ["".join(row) for row in letters[np.random.default_rng(0).integers(0, 4, (256, 30))]]
    encoder, sequences = build_kmer_encoder(2), table(texts)
    left = [count]

    def fault(method: str, path: str) -> str | None:
        if left[0] and chance.random() < 0.25:
            left[0] -= 1
            return chance.choice(FAULTS)
        return None

    proxy.fault = fault
    store = filled(encoder, sequences)
    assert len(proxy.done) >= min(count, 20)
    proxy.fault = lambda method, path: None
    expected = embed_sequences(encoder, texts)
    for one in (store, EmbeddingStore.open(ROOT, encoder.identity, encoder.width)):
        assert len(one) == 256
        assert one.read(sequences.digests).tobytes() == expected.tobytes()
        assert one.verify() == []
    assert store.quarantined_rows == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_in_each_kind_of_request_costs_no_row(
    proxy: Proxy, identity: EncoderIdentity, make_rows: Rows, fault: str
) -> None:
    digests, rows = make_rows(16)
    met: set[str] = set()

    def once(method: str, path: str) -> str | None:
        kind = f"{method} {path.partition('/some/place')[2].rsplit('/', 1)[0]}"
        if kind in met:
            return None
        met.add(kind)
        return fault

    proxy.fault = once
    for _ in range(20):
        try:
            store = EmbeddingStore.open(ROOT, identity, 6, rows_per_shard=8)
            store.commit(digests, rows)
            break
        except GenebError as error:
            assert "s3://vectors" in error.message
    assert len(proxy.done) >= 5
    again = EmbeddingStore.open(ROOT, identity, 6)
    assert len(again) == 16 and again.read(digests).tobytes() == rows.tobytes()
    assert again.verify() == [] and again.quarantined_rows == 0


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(4))
def test_fifty_random_faults_leave_the_same_rows(
    proxy: Proxy,
    table: Callable[..., SimpleNamespace],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(view, "_MOST_ENTRIES", 4)  # summaries are under fire as well
    with_faults(proxy, table, 50, seed)
