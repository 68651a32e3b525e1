"""Stores of layers and poolings that one forward fills: keys, bits, gaps, and a kill in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.embed import embed_into, embed_sequences, open_store
from geneb_jax.embed.variant_stores import VariantStores
from geneb_jax.models import Encoder, load_encoder
from geneb_jax.models.variants import chosen_variants
from geneb_jax.store import EmbeddingStore


@pytest.fixture(scope="module")
def members() -> list[Encoder]:
    """Two layers under two poolings of a built-in network."""
    encoder = load_encoder("tiny-nt-v2")
    return [one for _, one in chosen_variants(encoder, (1, -1), ("mean", "cls"))]


def stores_of(root: Path, members: list[Encoder]) -> list[EmbeddingStore]:
    return [open_store(root, one) for one in members]


def fill(root: Path, members: list[Encoder], table: Any) -> VariantStores:
    joint = members[0].joined(members)
    together = VariantStores(stores_of(root, members), joint.identity)
    embed_into(together, joint, table)
    return together


def test_each_store_is_that_of_its_layer_and_pooling_alone(
    members: list[Encoder], draw: Any, table: Any, tmp_path: Path
) -> None:
    texts = draw(6, 60, 64)
    rows = table(texts)
    assert fill(tmp_path, members, rows).added == [6] * 4
    for store, one in zip(stores_of(tmp_path, members), members, strict=True):
        assert not len(store.missing(rows.digests))
        assert store.read(rows.digests).tobytes() == embed_sequences(one, texts).tobytes()
        # A run of this variant alone finds everything.
        assert embed_into(store, one, rows).embedded == 0


def test_only_what_a_store_lacks_is_computed_and_committed(
    members: list[Encoder], draw: Any, table: Any, tmp_path: Path
) -> None:
    texts = draw(6, 60, 64)
    some, rows = table(texts[:4]), table(texts)
    embed_into(stores_of(tmp_path, members)[1], members[1], some)
    joint = members[0].joined(members)
    together = VariantStores(stores_of(tmp_path, members), joint.identity)
    assert list(together.missing(rows.digests)) == list(range(6))
    report = embed_into(together, joint, rows)
    assert report.embedded == 6 and together.added == [6, 2, 6, 6]
    assert embed_into(together, joint, rows).embedded == 0
    more = table(draw(2, 60, 64, seed=3))
    for at in (0, 2, 3):
        embed_into(stores_of(tmp_path, members)[at], members[at], more)
    again = fill(tmp_path, members, more)
    assert again.added == [0, 2, 0, 0]


def test_a_kill_between_two_commits_loses_nothing(
    members: list[Encoder],
    draw: Any,
    table: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = draw(5, 60, 64)
    rows = table(texts)
    commit, calls = EmbeddingStore.commit, []

    def killed(self: EmbeddingStore, digests: np.ndarray, values: np.ndarray) -> int:
        calls.append(self.identity)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return commit(self, digests, values)

    monkeypatch.setattr(EmbeddingStore, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, members, rows)
    monkeypatch.setattr(EmbeddingStore, "commit", commit)
    there = [len(store) for store in stores_of(tmp_path, members)]
    assert there == [5, 5, 0, 0]
    assert fill(tmp_path, members, rows).added == [0, 0, 5, 5]
    for store, one in zip(stores_of(tmp_path, members), members, strict=True):
        assert store.read(rows.digests).tobytes() == embed_sequences(one, texts).tobytes()
