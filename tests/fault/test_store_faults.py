"""What can happen to a store, by row of the fault table: never a wrong row, nothing lost."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.errors import ModelError, OutputError, StoreError
from geneb_jax.store import EmbeddingStore, QuarantinedRowsError, folder_name, list_stores
from geneb_jax.store.entries import decode_entry, encode_entry
from geneb_jax.store.keys import key_hash
from geneb_jax.store.tensorstore_context import shared_context

WRITER = Path(__file__).with_name("store_writer.py")
_SPEC = importlib.util.spec_from_file_location("store_writer", WRITER)
assert _SPEC is not None and _SPEC.loader is not None
writer = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(writer)

DIGESTS, ROWS = writer.content()
FOLDER = folder_name(writer.IDENTITY, writer.WIDTH)
KEY = key_hash(writer.IDENTITY, writer.WIDTH)
SHARDS = [f"array/c/0/{slot}/0" for slot in range(3)]
ROW_FILES = [f"rows/000000/00000000{slot}.rows" for slot in range(3)]
ENTRIES = [f"manifest.d/00000000{slot}" for slot in range(3)]
#: What one commit does, in this order, as its writer sees it.
STEPS = ["writing", "fsync", "replace", "fsync", "writing done", "fsync", "replace", "fsync"]


def start_writer(root: Path, *options: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(root), *map(str, options)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def open_store(root: Path, **options: Any) -> EmbeddingStore:
    options = {"rows_per_shard": writer.ROWS_PER_SHARD, **options}
    return EmbeddingStore.open(root, writer.IDENTITY, writer.WIDTH, **options)


def write_all(root: Path) -> EmbeddingStore:
    store = open_store(root)
    store.commit(DIGESTS, ROWS)
    return store


def repaired(root: Path) -> EmbeddingStore:
    """What a run does: embed what is missing, read, and again if rows turn out damaged."""
    store = open_store(root)
    for _ in range(4):
        missing = store.missing(DIGESTS)
        store.commit(DIGESTS[missing], ROWS[missing])
        try:
            assert store.read(DIGESTS).tobytes() == ROWS.tobytes()
            return store
        except QuarantinedRowsError:
            continue
    raise AssertionError("the store does not heal")


def bytes_of(root: Path) -> dict[str, str]:
    """SHA-256 of every file of the store, locks and remnants of temporary files left out."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / FOLDER).rglob("*"))
        if path.is_file() and not path.name.startswith(".") and "__lock" not in path.name
    }


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine")
    write_all(root)
    return root


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine / FOLDER, tmp_path / FOLDER)
    return tmp_path


@pytest.mark.parametrize("step", range(len(STEPS) + 1))
@pytest.mark.fault("F01")
def test_f01_a_writer_killed_before_any_step_is_resumed_to_the_same_bytes(
    pristine: Path, tmp_path: Path, step: int
) -> None:
    process = start_writer(tmp_path, "--kill-before", step)
    said, complaint = process.communicate(timeout=120)
    if step == len(STEPS):
        assert process.returncode == 0, complaint
        assert said.strip().split(",") == STEPS
    else:
        assert process.returncode == -9, complaint
        # Before the entry's rename the second shard does not exist, after it it does.
        assert len(open_store(tmp_path, read_only=True)) == (16 if step > 6 else 8)
    write_all(tmp_path)
    assert bytes_of(tmp_path) == bytes_of(pristine)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.fault("F01")
def test_f01_a_writer_killed_at_a_random_moment_is_resumed_to_the_same_bytes(
    pristine: Path, tmp_path: Path, seed: int
) -> None:
    process = start_writer(tmp_path, "--pause", 0.01)
    time.sleep(random.Random(seed).uniform(0.2, 1.2))
    process.kill()
    process.communicate()
    write_all(tmp_path)
    assert bytes_of(tmp_path) == bytes_of(pristine)


@pytest.mark.fault("F03")
def test_f03_everything_is_flushed_before_an_entry_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was flushed: each file before its rename, its folder after it."""
    assert shared_context()["file_io_sync"].to_json() is True
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        fsync(descriptor)
        events.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink())))

    def renamed(self: Path, target: Path) -> Path:
        assert events[-1] == ("flush", str(self))
        if target.parent.name == "manifest.d":
            assert ("flush", str(tmp_path / FOLDER / "rows/000000")) in events
            assert (tmp_path / FOLDER / SHARDS[0]).exists()
        events.append(("rename", str(target)))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    open_store(tmp_path).commit(DIGESTS[:8], ROWS[:8])
    renames = [at for at, event in enumerate(events) if event[0] == "rename"]
    assert [Path(events[at][1]).name for at in renames] == [
        "manifest.json",
        "000000000.rows",
        "000000000",
    ]
    for at in renames:
        assert events[at + 1] == ("flush", str(Path(events[at][1]).parent))


@pytest.mark.fault("F04")
def test_f04_a_full_disk_is_one_clear_error_and_the_store_stays_valid(
    pristine: Path, tmp_path: Path
) -> None:
    shard = (pristine / FOLDER / SHARDS[0]).stat().st_size
    process = start_writer(tmp_path, "--file-size-limit", shard - 1)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "cannot write" in complaint and "bytes are free" in complaint
    assert "Traceback" not in complaint
    assert len(open_store(tmp_path)) == 0
    write_all(tmp_path)
    assert bytes_of(tmp_path) == bytes_of(pristine)


@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.fault("F04")
def test_f04_a_disk_that_is_full_at_any_flush_loses_one_commit(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    store = open_store(tmp_path)
    store.commit(DIGESTS[:8], ROWS[:8])
    calls, fsync = iter(range(1, 99)), os.fsync

    def full(descriptor: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"cannot write \d+ bytes, \d+ bytes are free"):
            store.commit(DIGESTS[8:16], ROWS[8:16])
    assert open_store(tmp_path).read(DIGESTS[:8]).tobytes() == ROWS[:8].tobytes()
    assert store.commit(DIGESTS, ROWS) in (8, 16)
    assert bytes_of(tmp_path) == bytes_of(pristine)


@pytest.mark.fault("F05")
def test_f05_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="--store") as caught:
        open_store(tmp_path / "file")
    assert caught.value.exit_code == 2
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):  # the superuser may write anywhere
        return
    with pytest.raises(OutputError, match="--store"):
        open_store(locked)


def flipped(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(bytes(content))


def flip_and_heal(copy: Path, seed: int) -> None:
    generator = random.Random(seed)
    files = [path for path in sorted((copy / FOLDER).rglob("*")) if path.is_file()]
    path = generator.choice([path for path in files if path.stat().st_size])
    flipped(path, generator.randrange(path.stat().st_size * 8))
    name = path.relative_to(copy / FOLDER).as_posix()
    try:
        store = repaired(copy)
    except StoreError as error:
        assert name == "manifest.json" and "version" in error.message
        return
    if name.startswith(("array/c/", "rows/")):
        assert store.quarantined_rows == writer.ROWS_PER_SHARD
    assert open_store(copy).verify() == []


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.fault("F06")
def test_f06_a_flipped_bit_is_found_and_healed(copy: Path, seed: int) -> None:
    flip_and_heal(copy, seed)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(40, 240))
@pytest.mark.fault("F06")
def test_f06_two_hundred_flipped_bits_are_found_and_healed(copy: Path, seed: int) -> None:
    flip_and_heal(copy, seed)


@pytest.mark.fault("F06")
def test_f06_whole_shards_in_each_others_places_are_found(copy: Path) -> None:
    """Every checksum of the array agrees; only the rows' own checksums tell."""
    first, second = copy / FOLDER / SHARDS[0], copy / FOLDER / SHARDS[1]
    content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    with pytest.raises(QuarantinedRowsError, match="16 stored rows"):
        open_store(copy).read(DIGESTS)
    assert repaired(copy).quarantined_rows == 16


@pytest.mark.fault("F06")
def test_f06_damage_is_only_reported_where_the_store_is_read_only(copy: Path) -> None:
    flipped(copy / FOLDER / SHARDS[1], 100)
    before = bytes_of(copy)
    reader = open_store(copy, read_only=True)
    assert reader.read(DIGESTS[:8]).tobytes() == ROWS[:8].tobytes()
    with pytest.raises(StoreError, match="open the store for writing"):
        reader.read(DIGESTS)
    assert bytes_of(copy) == before


@pytest.mark.parametrize(
    "name",
    [
        *SHARDS,
        *ROW_FILES,
        *ENTRIES,
        "array/zarr.json",
        "manifest.json",
    ],
)
@pytest.mark.parametrize("how", ["deleted", "emptied", "cut"])
@pytest.mark.fault("F07")
def test_f07_a_lost_file_is_noticed_and_healed(copy: Path, name: str, how: str) -> None:
    path = copy / FOLDER / name
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "emptied" else path.read_bytes()[: path.stat().st_size // 2])
    store = repaired(copy)
    lost_rows = writer.ROWS_PER_SHARD if name.startswith(("array/c/", "rows/")) else 0
    assert store.quarantined_rows == lost_rows
    assert store.verify() == []


@pytest.mark.fault("F81")
@pytest.mark.parametrize("name", [SHARDS[1], "array/zarr.json"])
def test_f81_a_pipe_in_the_place_of_an_array_file_is_not_waited_for(copy: Path, name: str) -> None:
    (copy / FOLDER / name).unlink()
    os.mkfifo(copy / FOLDER / name)
    store = repaired(copy)
    assert store.quarantined_rows == (writer.ROWS_PER_SHARD if name == SHARDS[1] else 0)
    assert store.verify() == []


@pytest.mark.fault("F07")
def test_f07_a_lost_array_folder_is_noticed_and_healed(copy: Path) -> None:
    shutil.rmtree(copy / FOLDER / "array")
    assert repaired(copy).quarantined_rows == writer.ROWS


@pytest.mark.parametrize("field", ["identity", "width", "dtype", "rows_per_shard", "sha256"])
@pytest.mark.fault("F08")
def test_f08_a_manifest_with_any_field_changed_is_written_again(copy: Path, field: str) -> None:
    path = copy / FOLDER / "manifest.json"
    before = path.read_bytes()
    document = json.loads(before)
    changed: dict[str, Any] = {
        "identity": {**document["identity"], "pooling": "cls"},
        "width": 7,
        "dtype": "float64",
        "rows_per_shard": 16,
        "sha256": "0" * 64,
    }
    path.write_text(json.dumps({**document, field: changed[field]}))
    with pytest.raises(StoreError, match="damaged"):
        open_store(copy, read_only=True)
    assert open_store(copy).read(DIGESTS).tobytes() == ROWS.tobytes()
    assert path.read_bytes() == before


@pytest.mark.parametrize("field", ["key", "shards", "quarantined", "merged", "indexes", "sha256"])
@pytest.mark.fault("F08")
def test_f08_an_entry_with_any_field_changed_is_set_aside_and_its_shard_taken_up_again(
    copy: Path, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = copy / FOLDER / ENTRIES[1]
    before = path.read_bytes()
    document = json.loads(before)
    changed: dict[str, Any] = {
        "key": "0" * 64,
        "shards": [{**document["shards"][0], "slot": 2}],
        "quarantined": [{"slot": 0, "rows": 8, "reason": "forged"}],
        "merged": [[0, 0]],
        "indexes": [{"name": f"index/{'0' * 32}", "rows": 8, "slots": [[0, 0]]}],
        "sha256": "0" * 64,
    }
    path.write_text(json.dumps({**document, field: changed[field]}))
    with pytest.raises(StoreError, match="damaged"):
        open_store(copy, read_only=True)
    assert open_store(copy).read(DIGESTS).tobytes() == ROWS.tobytes()
    assert path.read_bytes() == before
    assert "shard 1 was taken up again" in caplog.text


@pytest.mark.fault("F08")
def test_f08_only_shards_that_agree_are_taken_up_again(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (copy / FOLDER / "manifest.json").write_bytes(b"")
    shutil.rmtree(copy / FOLDER / "manifest.d")
    flipped(copy / FOLDER / SHARDS[1], 9)
    store = open_store(copy)
    assert store.missing(DIGESTS).tolist() == list(range(8, 16))
    assert "shard 1 is left out" in caplog.text
    assert repaired(copy).verify() == []


@pytest.mark.fault("F08")
def test_f08_shards_of_different_sizes_are_no_store(copy: Path, tmp_path: Path) -> None:
    (copy / FOLDER / "manifest.json").unlink()
    open_store(tmp_path / "other", rows_per_shard=4).commit(DIGESTS[:4], ROWS[:4])
    shutil.copy(tmp_path / "other" / FOLDER / ROW_FILES[0], copy / FOLDER / ROW_FILES[2])
    before = bytes_of(copy)
    with pytest.raises(StoreError, match=r"cannot be made again.*different sizes.*--damaged"):
        open_store(copy)
    assert bytes_of(copy) == before


@pytest.mark.parametrize("version", [0, 1, 1000])
@pytest.mark.fault("F08")
def test_f08_a_manifest_of_another_version_is_refused_and_left_alone(
    copy: Path, version: int
) -> None:
    path = copy / FOLDER / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": version}))
    before = bytes_of(copy)
    with pytest.raises(StoreError, match=f"format version {version}.*knows version 2"):
        open_store(copy)
    assert bytes_of(copy) == before
    (entry,) = list_stores(copy)
    assert f"version {version}" in entry.problem


@pytest.mark.fault("F08")
def test_f08_sealed_entries_that_swap_shards_are_not_believed(copy: Path) -> None:
    entries = [decode_entry((copy / FOLDER / name).read_bytes(), KEY) for name in ENTRIES]
    (first,), (second,) = entries[0].shards, entries[1].shards
    for name, shard in zip(
        ENTRIES, (replace(first, slot=1), replace(second, slot=0)), strict=False
    ):
        (copy / FOLDER / name).write_bytes(encode_entry(replace(entries[0], shards=(shard,)), KEY))
    assert repaired(copy).quarantined_rows == 16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.fault("F11")
def test_f11_rows_that_are_not_finite_are_never_stored(tmp_path: Path, value: float) -> None:
    store, rows = open_store(tmp_path), ROWS.copy()
    rows[5, 1] = value
    with pytest.raises(ModelError, match="1 of 24 embeddings hold NaN or infinity"):
        store.commit(DIGESTS, rows)
    assert len(open_store(tmp_path).missing(DIGESTS)) == 24


@pytest.mark.parametrize("name", ["", "manifest.json", "manifest.d", "rows", "array", "array/c"])
@pytest.mark.fault("F34")
def test_f34_a_link_inside_a_store_is_refused_and_its_target_untouched(
    copy: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "target"
    path = copy / FOLDER / name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*")), elsewhere.stat().st_mtime_ns
    with pytest.raises(StoreError, match="symbolic link"):
        open_store(copy).commit(np.zeros((1, 16), np.uint8), ROWS[:1])
    assert (sorted(elsewhere.rglob("*")), elsewhere.stat().st_mtime_ns) == before


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.fault("F36")
def test_f36_nothing_in_a_store_is_unpickled(copy: Path, tmp_path: Path) -> None:
    bird = tmp_path / "sang"
    poison = pickle.dumps(Canary(bird))
    for name in ("manifest.pkl", ROW_FILES[0], "rows/x.npy", SHARDS[1], "array/x.pkl"):
        (copy / FOLDER / name).write_bytes(poison)
    repaired(copy).verify()
    list_stores(copy)
    assert not bird.exists()
    pickle.loads(poison).close()
    assert bird.exists()


@pytest.mark.fault("F40")
def test_f40_four_writers_of_one_key_write_every_row_once(tmp_path: Path) -> None:
    processes = [start_writer(tmp_path, "--order", seed, "--pause", 0.05) for seed in range(4)]
    time.sleep(0.8)
    processes[0].kill()
    for process in processes[1:]:
        _, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
    processes[0].communicate()
    store = open_store(tmp_path)
    assert len(store) == writer.ROWS
    assert store.read(DIGESTS).tobytes() == ROWS.tobytes()
    assert store.verify() == []


@pytest.mark.fault("F01", "F40")
def test_f40_what_a_killed_writer_had_begun_does_not_end_the_next_ones_shard(
    tmp_path: Path,
) -> None:
    """tensorstore writes into a lock file, which lies there, and longer, if it was killed then."""
    store = open_store(tmp_path)
    lock = tmp_path / FOLDER / f"{SHARDS[1]}.__lock"
    store.commit(DIGESTS[:8], ROWS[:8])
    lock.parent.mkdir(parents=True)
    lock.write_bytes(bytes(10_000))
    store.commit(DIGESTS[8:16], ROWS[8:16])
    assert open_store(tmp_path).read(DIGESTS[:16]).tobytes() == ROWS[:16].tobytes()
    assert store.verify() == []


@pytest.mark.fault("F40")
def test_f40_a_writer_waits_with_a_notice_and_a_dead_ones_lock_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    holding = f"""
import sys, time
sys.path.insert(0, {str(WRITER.parent)!r})
import store_writer as w
store = w.EmbeddingStore.open({str(tmp_path)!r}, w.IDENTITY, w.WIDTH)
with store.writing():
    print("held", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    threading.Timer(1.5, process.kill).start()
    assert store.commit(DIGESTS, ROWS) == 24
    process.communicate()
    assert process.returncode == -9
    assert "another process writes here" in caplog.text


@pytest.mark.fault("F41")
def test_f41_a_reader_sees_whole_commits_only(tmp_path: Path) -> None:
    count = 240
    digests, rows = writer.content(count)
    process = start_writer(tmp_path, "--count", count, "--pause", 0.01)
    seen: set[int] = set()
    while process.poll() is None:
        reader = open_store(tmp_path, read_only=True)
        stored = len(reader)
        assert stored % writer.ROWS_PER_SHARD == 0
        assert reader.read(digests[:stored]).tobytes() == rows[:stored].tobytes()
        seen.add(stored)
    _, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert any(0 < stored < count for stored in seen)
    assert open_store(tmp_path).read(digests).tobytes() == rows.tobytes()


@pytest.mark.fault("F42")
def test_f42_a_forked_process_gets_a_clear_error(tmp_path: Path) -> None:
    write_all(tmp_path)
    forking = f"""
import os, sys
sys.path.insert(0, {str(WRITER.parent)!r})
import store_writer as w
from geneb_jax.errors import StoreError
digests, rows = w.content()
store = w.EmbeddingStore.open({str(tmp_path)!r}, w.IDENTITY, w.WIDTH)
store.read(digests)
for action in (lambda: store.read(digests), lambda: store.commit(digests, rows),
               lambda: w.EmbeddingStore.open({str(tmp_path)!r}, w.IDENTITY, w.WIDTH)):
    child = os.fork()
    if not child:
        try:
            action()
        except StoreError as error:
            os._exit(7 if "spawn" in error.message else 8)
        os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", forking], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", "7", "7"]


@pytest.mark.fault("F43")
def test_f43_one_changed_base_is_a_miss(tmp_path: Path) -> None:
    from geneb_jax.data import sequence_digest

    texts = ["ACGTACGT", "ACGTACGA", "acgtacgt", "ACGTACGT "]
    store = open_store(tmp_path)
    store.commit([sequence_digest(texts[0])], ROWS[:1])
    assert store.missing([sequence_digest(text) for text in texts]).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "field", ["model_id", "revision", "weights", "tokenizer", "pooling", "layer", "dtype", "code"]
)
@pytest.mark.fault("F44")
def test_f44_another_key_is_a_miss(tmp_path: Path, field: str) -> None:
    write_all(tmp_path)
    value: Any = 5 if field == "layer" else "another"
    other = replace(writer.IDENTITY, **{field: value})
    store = EmbeddingStore.open(tmp_path, other, writer.WIDTH)
    assert len(store.missing(DIGESTS)) == len(DIGESTS)
    assert len(EmbeddingStore.open(tmp_path, writer.IDENTITY, 7)) == 0
    assert len(open_store(tmp_path)) == len(DIGESTS)


@pytest.mark.fault("F44")
def test_f44_every_field_of_the_identity_is_in_the_key(tmp_path: Path) -> None:
    named = writer.IDENTITY.as_dict()
    names = {
        folder_name(replace(writer.IDENTITY, **{name: 5 if name == "layer" else f"{value}x"}), 6)
        for name, value in named.items()
    }
    assert len(names | {FOLDER}) == len(named) + 1


@pytest.mark.fault("F45")
def test_f45_shard_size_is_not_in_the_key(tmp_path: Path) -> None:
    write_all(tmp_path)
    store = open_store(tmp_path, rows_per_shard=5)
    assert len(store.missing(DIGESTS)) == 0
