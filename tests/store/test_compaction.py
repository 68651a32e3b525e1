"""Compaction: the same rows in fewer files, whoever looks on, and whenever it is killed."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from geneb_jax.cli.main import command
from geneb_jax.identity import EncoderIdentity
from geneb_jax.store import EmbeddingStore, folder_name, list_stores, prune_remnants

Rows = Callable[..., tuple[np.ndarray, np.ndarray]]
ROOM = 64


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"


def small_shards(root: str | Path, identity: EncoderIdentity, content: Any) -> EmbeddingStore:
    """A store of 13 shards of 8 rows, with room for 64 each, and one of 40."""
    digests, rows = content
    store = EmbeddingStore.open(root, identity, 6, rows_per_shard=ROOM)
    store.commit(digests[:40], rows[:40])
    for first in range(40, 144, 8):
        store.commit(digests[first : first + 8], rows[first : first + 8])
    return store


def test_small_shards_become_few_and_every_row_stays(
    root: str, identity: EncoderIdentity, make_rows: Rows
) -> None:
    content = digests, rows = make_rows(144)
    store = small_shards(root, identity, content)
    onlooker = EmbeddingStore.open(root, identity, 6)
    reader = EmbeddingStore.open(root, identity, 6, read_only=True)
    found = store.compact()
    assert (found.shards_before, found.shards_after, found.rows) == (14, 3, 144)
    assert found.deleted_files == 26
    for one in (store, onlooker, reader, EmbeddingStore.open(root, identity, 6)):
        assert one.read(digests).tobytes() == rows.tobytes()
        one.refresh()
        assert len(one) == 144 and not len(one.missing(digests))
        assert sorted(map(bytes, one.digests())) == sorted(map(bytes, digests))
    assert store.verify() == []
    names = store._folder.all_names()
    assert sum(name.startswith("rows/") for name in names) == 3
    assert sum(name.startswith("array/c/") for name in names) == 3
    assert sum(name.startswith("manifest.d/") for name in names) == 1
    (entry,) = list_stores(root)
    assert prune_remnants(root, entry) == []
    again = store.compact()
    assert (again.shards_before, again.shards_after, again.deleted_files) == (3, 3, 0)
    more, values = make_rows(20, seed=1)
    assert store.commit(more, values) == 20
    assert EmbeddingStore.open(root, identity, 6).read(more).tobytes() == values.tobytes()


def test_a_damaged_shard_is_not_merged_but_quarantined(
    tmp_path: Path, identity: EncoderIdentity, make_rows: Rows
) -> None:
    content = digests, rows = make_rows(144)
    store = small_shards(tmp_path, identity, content)
    shard = tmp_path / folder_name(identity, 6) / "array/c/0/2/0"
    damaged = bytearray(shard.read_bytes())
    damaged[20] ^= 1
    shard.write_bytes(bytes(damaged))
    store.compact()
    assert store.missing(digests).tolist() == list(range(48, 56))
    assert store.quarantined_rows == 8
    store.commit(digests, rows)
    store.compact()
    assert store.read(digests).tobytes() == rows.tobytes() and store.verify() == []


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=[] if step in (2, 9, 15, 40, 55) else pytest.mark.sweep)
        for step in range(64)
    ],
)
def test_killed_at_any_step_it_loses_nothing(
    tmp_path: Path,
    identity: EncoderIdentity,
    make_rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    content = digests, rows = make_rows(144)
    store = small_shards(tmp_path, identity, content)
    left = [step]

    def stops(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    stops(os, "fsync")
    stops(pathlib.Path, "replace")
    stops(pathlib.Path, "unlink")
    ended = False
    try:
        store.compact()
        ended = True
    except Killed:
        pass
    monkeypatch.undo()
    assert ended == (left[0] > 0)
    again = EmbeddingStore.open(tmp_path, identity, 6)
    assert again.read(digests).tobytes() == rows.tobytes() and len(again) == 144
    again.compact()
    assert again.verify() == [] and len(again._view.contents.shards) == 3
    last = EmbeddingStore.open(tmp_path, identity, 6)
    assert last.read(digests).tobytes() == rows.tobytes() and last.quarantined_rows == 0
    (entry,) = list_stores(tmp_path)
    prune_remnants(tmp_path, entry)
    assert last.read(digests).tobytes() == rows.tobytes()


def test_the_command_says_what_it_did(
    tmp_path: Path, identity: EncoderIdentity, make_rows: Rows
) -> None:
    small_shards(tmp_path, identity, make_rows(144))
    (tmp_path / "other-0123456789abcdef").mkdir()
    result = CliRunner().invoke(
        command, ["store", "compact", "--store", str(tmp_path), "--json"], standalone_mode=False
    )
    broken, whole = json.loads(result.stdout)[::-1]
    if whole["problem"]:
        broken, whole = whole, broken
    assert broken["problem"] == "there is no manifest"
    assert (whole["rows"], whole["shards_before"], whole["shards_after"]) == (144, 14, 3)
