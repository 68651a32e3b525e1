"""Indexes on the disk: against a dictionary; damage is found, and nothing rests on them alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.identity import EncoderIdentity
from geneb_jax.store import EmbeddingStore, folder_name, index_runs, local_folder, view
from geneb_jax.store.digests import digest_halves
from geneb_jax.store.index_runs import DamagedIndexError, IndexRun, merged_run

Rows = Callable[..., tuple[np.ndarray, np.ndarray]]
KEY = "ab" * 32
# Few distinct bytes and many shared halves: the cases that a 64-bit search alone gets wrong.
halves = st.sampled_from([bytes(8), b"\xff" * 8, b"\x00" * 7 + b"\x01", b"\x01" + b"\x00" * 7])
some_digests = st.lists(st.tuples(halves, halves).map(lambda pair: pair[0] + pair[1]), max_size=30)


def as_array(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def run_of(digests: list[bytes], first: int = 0) -> IndexRun:
    places = np.arange(first, first + len(digests))
    return IndexRun.of(as_array(digests), places, places.astype(np.uint64) * np.uint64(3))


@pytest.mark.parametrize("at_once", [1 << 18, 0])
@given(some_digests, some_digests, some_digests)
def test_a_run_that_was_written_and_merged_equals_a_dictionary(
    at_once: int, one: list[bytes], two: list[bytes], asked: list[bytes]
) -> None:
    where: dict[bytes, int] = {}
    for at, digest in enumerate([*one, *two]):
        where.setdefault(digest, at)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(index_runs, "_MANY_ROWS", at_once)
        run = merged_run([run_of(two, len(one)), run_of(one)])
    run = IndexRun.decode(np.frombuffer(run.encode(KEY), np.uint8), KEY)
    assert len(run) == len(where)
    rows = run.find(*digest_halves(as_array(asked)))
    found = [int(run.places[row]) if row >= 0 else -1 for row in rows]
    assert found == [where.get(digest, -1) for digest in asked]
    assert (run.columns[3] == run.columns[2] * np.uint64(3)).all()


def test_many_queries_in_any_order(make_rows: Rows) -> None:
    digests, _ = make_rows(5000)
    run = IndexRun.of(digests[::2], np.arange(2500), np.zeros(2500, np.uint64))
    rows = run.find(*digest_halves(digests))
    assert (rows[1::2] == -1).all()
    assert run.places[rows[::2]].tolist() == list(range(2500))


def test_every_changed_bit_is_found(make_rows: Rows) -> None:
    digests, _ = make_rows(64)
    content = IndexRun.of(digests, np.arange(64), np.arange(64, dtype=np.uint64)).encode(KEY)
    chance = random.Random(0)
    for _ in range(300):
        changed = bytearray(content)
        bit = chance.randrange(8 * len(changed))
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedIndexError):
            IndexRun.decode(np.frombuffer(bytes(changed), np.uint8), KEY).verify()
    for cut in (content[:-1], content[:100], b"", bytes(content) + b"x"):
        with pytest.raises(DamagedIndexError):
            IndexRun.decode(np.frombuffer(cut, np.uint8), KEY)
    with pytest.raises(DamagedIndexError, match="no index of this store"):
        IndexRun.decode(np.frombuffer(content, np.uint8), "cd" * 32)


@pytest.fixture(params=["folder", "memory"])
def indexed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    identity: EncoderIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., EmbeddingStore]:
    """A store that summarises after every four entries."""
    monkeypatch.setattr(view, "_MOST_ENTRIES", 4)
    root = str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"

    def call(**options: object) -> EmbeddingStore:
        return EmbeddingStore.open(root, identity, 6, **{"rows_per_shard": 8, **options})

    return call


def test_summaries_change_nothing_but_the_number_of_entries(
    indexed: Callable[..., EmbeddingStore], make_rows: Rows
) -> None:
    digests, rows = make_rows(400)
    store, other = indexed(), indexed()
    for first in range(0, 400, 8):
        store.commit(digests[first : first + 8], rows[first : first + 8])
        assert len(store._view.contents.entries) < 4 + 1
    reopened = indexed(read_only=True)
    assert reopened._view._rows.table.fresh_rows <= 24
    for one in (store, reopened, other):
        one.refresh()
        assert len(one) == 400
        assert one.read(digests).tobytes() == rows.tobytes()
        assert not len(one.missing(digests))
        assert one.digests().tobytes() == digests.tobytes()
    assert store.verify() == []
    files = store._folder.all_names()
    assert sum(name.startswith("index/") for name in files) <= 8


def test_readers_see_whole_commits_and_never_fewer_while_entries_are_summarised(
    indexed: Callable[..., EmbeddingStore], make_rows: Rows
) -> None:
    digests, rows = make_rows(320)
    store = indexed()
    reader, ended = indexed(read_only=True), threading.Event()

    def write() -> None:
        for first in range(0, 320, 8):
            store.commit(digests[first : first + 8], rows[first : first + 8])
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    stored = 0
    while not ended.is_set():
        reader.refresh()
        for one in (reader, indexed(read_only=True)):
            assert len(one) % 8 == 0 and len(one) >= stored
            stored = len(one)
            assert one.read(digests[:stored]).tobytes() == rows[:stored].tobytes()
    thread.join()
    reader.refresh()
    assert reader.read(digests).tobytes() == rows.tobytes()


def test_a_listing_that_misses_what_moved_meanwhile_is_not_believed(
    tmp_path: Path, identity: EncoderIdentity, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a folder is listed, entries may be deleted whose successor was written just before."""
    digests, rows = make_rows(32)
    EmbeddingStore.open(tmp_path, identity, 6, rows_per_shard=8).commit(digests, rows)
    names, looks = local_folder.LocalFolder.names, []

    def missed(folder: local_folder.LocalFolder, prefix: str) -> list[str]:
        found = names(folder, prefix)
        looks.append(prefix)
        return found[:1] if len(looks) == 1 else found

    monkeypatch.setattr(local_folder.LocalFolder, "names", missed)
    assert len(EmbeddingStore.open(tmp_path, identity, 6, read_only=True)) == 32


def test_a_damaged_or_lost_index_is_made_again_from_the_row_files(
    tmp_path: Path,
    identity: EncoderIdentity,
    make_rows: Rows,
    caplog: pytest.LogCaptureFixture,
) -> None:
    digests, rows = make_rows(64)
    store = EmbeddingStore.open(tmp_path, identity, 6, rows_per_shard=8)
    store.commit(digests, rows)
    store.summarise()
    folder = tmp_path / folder_name(identity, 6)
    for change in (
        lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:50],
        lambda content: None,
    ):
        (path,) = (folder / "index").iterdir()
        content = change(path.read_bytes())
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        for read_only in (True, False):
            caplog.clear()
            again = EmbeddingStore.open(tmp_path, identity, 6, read_only=read_only)
            assert again.read(digests).tobytes() == rows.tobytes()
            assert path.name in caplog.text
        again.summarise()
        caplog.clear()
        last = EmbeddingStore.open(tmp_path, identity, 6)
        assert last.read(digests).tobytes() == rows.tobytes()
        assert not caplog.text and last.quarantined_rows == 0


def test_a_shard_in_an_index_can_be_quarantined(
    tmp_path: Path, identity: EncoderIdentity, make_rows: Rows
) -> None:
    digests, rows = make_rows(24)
    store = EmbeddingStore.open(tmp_path, identity, 6, rows_per_shard=8)
    store.commit(digests, rows)
    store.summarise()
    (tmp_path / folder_name(identity, 6) / "array/c/0/1/0").unlink()
    assert len(store.verify()) == 1
    for one in (store, EmbeddingStore.open(tmp_path, identity, 6)):
        assert one.missing(digests).tolist() == list(range(8, 16))
    store.summarise()
    assert EmbeddingStore.open(tmp_path, identity, 6).missing(digests).tolist() == [*range(8, 16)]
    assert store.commit(digests, rows) == 8
    assert EmbeddingStore.open(tmp_path, identity, 6).read(digests).tobytes() == rows.tobytes()


@pytest.mark.parametrize("late", [270, pytest.param(1000, marks=pytest.mark.sweep)])
def test_commits_ten_and_a_thousand_write_as_much(
    tmp_path: Path,
    identity: EncoderIdentity,
    make_rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    late: int,
) -> None:
    written: list[int] = []
    write = local_folder.write_bytes
    monkeypatch.setattr(
        local_folder,
        "write_bytes",
        lambda path, content: (written.append(len(content)), write(path, content))[1],
    )
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    digests, rows = make_rows(late + 10)
    store = EmbeddingStore.open(tmp_path, identity, 6, rows_per_shard=1)
    costs = []
    for at in range(late + 10):
        written.clear()
        store.commit(digests[at : at + 1], rows[at : at + 1])
        costs.append(sum(written))
    assert abs(costs[late] - costs[10]) <= 0.1 * costs[10]
    ordinary = np.sort(costs)[:-5]  # few commits also write a summary
    assert ordinary[-1] <= 1.1 * ordinary[0]
