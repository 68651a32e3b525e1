"""The store: what is committed is read back, whatever the order, the process or the place."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from geneb_jax.errors import ModelError, StoreError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.store import (
    EmbeddingStore,
    folder_name,
    list_stores,
    local_folder,
    prune_remnants,
    remote_folder,
)
from geneb_jax.store.folders import open_folder

Rows = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"


@pytest.fixture
def open_store(root: str, identity: EncoderIdentity) -> Callable[..., EmbeddingStore]:
    def call(**options: object) -> EmbeddingStore:
        return EmbeddingStore.open(root, identity, 6, **{"rows_per_shard": 8, **options})

    return call


@pytest.mark.fault("F30")
def test_rows_come_back_in_any_order_after_reopening(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(53)
    assert open_store().commit(digests, rows) == 53
    store = open_store()
    assert len(store) == 53
    assert store.digests().tobytes() == digests.tobytes()
    asked = np.random.default_rng(1).integers(0, 53, 200)
    assert store.read(digests[asked]).tobytes() == rows[asked].tobytes()
    assert store.read([digest.tobytes() for digest in digests[:3]]).tobytes() == rows[:3].tobytes()
    assert store.read(digests[:0]).shape == (0, 6)
    assert store.verify() == []


def test_the_same_rows_twice_are_stored_once(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(20)
    store = open_store()
    twice = np.concatenate([np.arange(20), np.arange(5)])
    assert store.commit(digests[twice], rows[twice]) == 20
    assert store.commit(digests, rows) == 0
    assert len(open_store()) == 20


def test_missing_lists_each_absent_digest_once(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(20)
    store = open_store()
    store.commit(digests[::2], rows[::2])
    asked = np.concatenate([digests, digests])
    assert store.missing(asked).tolist() == list(range(1, 20, 2))


def test_a_second_store_object_sees_commits_and_adds_only_what_is_new(
    open_store: Callable, make_rows: Rows
) -> None:
    digests, rows = make_rows(30)
    first, second = open_store(), open_store()
    first.commit(digests[:20], rows[:20])
    assert second.commit(digests[10:], rows[10:]) == 10
    first.refresh()
    assert first.read(digests).tobytes() == rows.tobytes()


def test_what_is_not_stored_is_an_error(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(4)
    store = open_store()
    store.commit(digests[:3], rows[:3])
    with pytest.raises(StoreError, match="1 of 4 embeddings are not stored"):
        store.read(digests)


def test_rows_of_another_type_or_shape_are_refused(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(4)
    store = open_store()
    for wrong in (rows.astype(np.float64), rows[:, :5], rows[:3], rows[0]):
        with pytest.raises(ValueError, match="float32"):
            store.commit(digests, wrong)
    assert len(open_store()) == 0


def test_a_read_only_store_is_never_written(
    root: str, identity: EncoderIdentity, make_rows: Rows, tmp_path: Path
) -> None:
    digests, rows = make_rows(4)
    reader = EmbeddingStore.open(root, identity, 6, read_only=True)
    assert len(reader) == 0 and len(reader.missing(digests)) == 4
    assert list(tmp_path.iterdir()) == [] and list_stores(root) == []
    with pytest.raises(StoreError, match="read-only"):
        reader.commit(digests, rows)
    EmbeddingStore.open(root, identity, 6, rows_per_shard=3).commit(digests, rows)
    reader.refresh()
    assert reader.rows_per_shard == 3
    assert reader.read(digests).tobytes() == rows.tobytes()


def test_an_existing_store_keeps_its_shard_size(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(20)
    open_store().commit(digests, rows)
    store = open_store(rows_per_shard=5)
    assert store.rows_per_shard == 8
    assert store.read(digests).tobytes() == rows.tobytes()


def test_writers_of_a_bucket_take_slots_of_their_own_and_a_row_counts_once(
    identity: EncoderIdentity, make_rows: Rows
) -> None:
    digests, rows = make_rows(40)
    root = "memory://race"
    first = EmbeddingStore.open(root, identity, 6, rows_per_shard=8)
    second = EmbeddingStore.open(root, identity, 6, rows_per_shard=8)
    commit_shard = second._commit_shard
    turns = iter([(first, slice(0, 8)), (first, slice(8, 16))])

    def late(wanted: np.ndarray, values: np.ndarray) -> None:
        # Another host commits between this one's look at the store and its own commit.
        for other, span in turns:
            other.commit(digests[span], rows[span])
            break
        commit_shard(wanted, values)

    second._commit_shard = late
    second.commit(digests, rows)
    again = EmbeddingStore.open(root, identity, 6)
    assert len(again) == 40
    assert again.read(digests).tobytes() == rows.tobytes()
    slots = [shard.slot for shard in again._view.contents.shards.values()]
    assert len(set(slots)) == len(slots) == 7


def test_prune_keeps_the_marks_of_a_bucket_and_what_a_commit_may_be_writing(
    identity: EncoderIdentity, make_rows: Rows
) -> None:
    digests, rows = make_rows(16)
    root = "memory://marks"
    store = EmbeddingStore.open(root, identity, 6, rows_per_shard=8)
    store.commit(digests, rows)
    store._folder.write("rows/000000/000000002.rows", b"half")
    (entry,) = list_stores(root)
    claims = store.claims()
    claim = claims.take(digests[:1])
    assert claim is not None
    assert prune_remnants(root, entry) == []
    claims.release([claim.name])
    assert prune_remnants(root, entry) == ["rows/000000/000000002.rows"]
    assert len(store._folder.names("claims/slots")) == 2
    assert EmbeddingStore.open(root, identity, 6).read(digests).tobytes() == rows.tobytes()


def test_the_array_is_plain_zarr_with_checked_chunks(
    tmp_path: Path, identity: EncoderIdentity, make_rows: Rows
) -> None:
    digests, rows = make_rows(16)
    EmbeddingStore.open(tmp_path, identity, 6, rows_per_shard=8).commit(digests, rows)
    folder = tmp_path / folder_name(identity, 6)
    array = ts.open({"driver": "zarr3", "kvstore": f"file://{folder}/array/"}).result()
    assert array[0, :16].read().result().tobytes() == rows.tobytes()
    text = (folder / "array" / "zarr.json").read_text()
    assert text.count("crc32c") == 2 and '"fill_value":"NaN"' in text


def test_non_finite_rows_are_refused_and_named(open_store: Callable, make_rows: Rows) -> None:
    digests, rows = make_rows(5)
    rows[3, 2] = np.inf
    store = open_store()
    with pytest.raises(ModelError, match=digests[3].tobytes().hex()):
        store.commit(digests, rows)
    assert len(open_store()) == 0


def test_another_manifest_in_the_folder_is_refused(
    tmp_path: Path, identity: EncoderIdentity, make_rows: Rows
) -> None:
    other = replace(identity, revision="another")
    EmbeddingStore.open(tmp_path, other, 6)
    (tmp_path / folder_name(other, 6)).rename(tmp_path / folder_name(identity, 6))
    with pytest.raises(StoreError, match="another model"):
        EmbeddingStore.open(tmp_path, identity, 6)


@pytest.mark.fault("F08", "F57")
def test_what_was_written_once_stays_readable(tmp_path: Path) -> None:
    """A store that version 2 of the format wrote; whoever changes the format raises its number."""
    historic = Path(__file__).parent / "historic" / "version_2"
    (entry,) = list_stores(historic)
    assert entry.contents is not None and entry.contents.row_count == 10
    shutil.copytree(historic / entry.name, tmp_path / entry.name)
    manifest = entry.contents.manifest
    store = EmbeddingStore.open(tmp_path, manifest.identity, manifest.width)
    expected = np.arange(40, dtype=np.float32).reshape(10, 4)
    digests = np.repeat(np.arange(10, dtype=np.uint8)[:, None], 16, axis=1)
    assert store.read(digests).tobytes() == expected.tobytes()
    assert store.quarantined_rows == 0


def test_a_store_of_version_1_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    historic = Path(__file__).parent / "historic" / "version_1"
    (entry,) = list_stores(historic)
    assert "format version 1, this geneb-jax knows version 2" in entry.problem
    shutil.copytree(historic / entry.name, tmp_path / entry.name)
    identity = EncoderIdentity(
        **json.loads((tmp_path / entry.name / "manifest.json").read_text())["identity"]
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"version 1.*prune --damaged"):
        EmbeddingStore.open(tmp_path, identity, 4)
    assert sorted(tmp_path.rglob("*")) == before


def test_threads_of_one_process_are_not_taken_for_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_folder, "_SECONDS_BEFORE_NOTICE", 0.01)
    folder = open_folder(tmp_path, "one")
    folder.prepare()
    held, entered = threading.Event(), threading.Event()

    def hold() -> None:
        with folder.writing():
            entered.set()
            held.wait(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with folder.writing():
        pass
    thread.join()
    assert "another process" not in caplog.text


def test_a_server_that_does_not_answer_is_given_up(
    identity: EncoderIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_folder, "_SECONDS_OF_SILENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        root = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StoreError, match=r"no answer within .* check --store"):
            EmbeddingStore.open(root, identity, 6)
