"""The engine against a NumPy model: no batch, padding, order or device count changes a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from geneb_jax.embed import (
    EmbedProgress,
    Forward,
    Placement,
    embed_into,
    embed_sequences,
    limited,
    open_store,
    read_or_embed,
    shard_rows,
    spot_check,
)
from geneb_jax.errors import ModelError
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore
from tests.tolerance import Tolerance, relative_error

Draw = Callable[..., list[str]]


def test_embeddings_equal_the_numpy_model(attention: Any, draw: Draw, tolerance: Tolerance) -> None:
    encoder = attention()
    sequences = [*draw(60, 1, 150), "", "N" * 5, "acgt"]
    found = embed_sequences(encoder, sequences, batch_tokens=1000)
    expected = np.array([encoder.by_numpy(sequence) for sequence in sequences])
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert relative_error(found, expected) <= tolerance("batch_invariance", "float32")


@pytest.mark.fault("F29", "F54")
def test_two_devices_give_what_one_gives(attention: Any, draw: Draw) -> None:
    encoder, sequences = attention(), draw(41, 60, 90)
    rows = []
    for devices in (jax.devices()[:1], jax.devices()[:2]):
        forward = Forward(encoder, batch_tokens=600, placement=Placement(devices))
        rows.append(embed_sequences(encoder, sequences, forward=forward))
    assert len(jax.devices()) == 2
    assert rows[1].tobytes() == rows[0].tobytes()


def test_a_model_that_cannot_be_padded_gets_equal_lengths_only(
    attention: Any, draw: Draw, tolerance: Tolerance
) -> None:
    class Exact(attention):  # type: ignore[misc, valid-type]
        exact_length = True

        def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
            return super().pooled(params, ids, mask | True)  # what padding would spoil

    encoder, sequences = Exact(), draw(30, 20, 22)
    expected = np.array([encoder.by_numpy(sequence) for sequence in sequences])
    assert relative_error(embed_sequences(encoder, sequences), expected) <= tolerance(
        "pooled_embedding", "float32"
    )


@pytest.mark.fault("F31")
def test_repeated_sequences_are_embedded_once(counting: Any) -> None:
    found = embed_sequences(counting, ["ACGT", "AA", "ACGT", ""])
    assert counting.calls == [3]
    assert found.tolist() == [[1, 1, 1, 1], [2, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert embed_sequences(counting, []).shape == (0, 4)


def test_a_sequence_encoder_of_another_shape_than_promised_is_an_error(counting: Any) -> None:
    counting.embed = lambda sequences: np.zeros((len(sequences), 3), np.float32)
    with pytest.raises(ModelError, match="was promised"):
        embed_sequences(counting, ["A", "C"])


@pytest.mark.fault("F28", "F68")
def test_a_report_counts_what_was_done(
    attention: Any, draw: Draw, table: Any, tmp_path: Path
) -> None:
    encoder = limited(attention(limit_tokens=50), 400)
    sequences = [*draw(40, 10, 50), "A" * 60, "C" * 75, "ANNA", ""]
    store = EmbeddingStore.open(tmp_path, encoder.identity, encoder.width, rows_per_shard=16)
    told: list[EmbedProgress] = []
    some = table(sequences[:10])
    assert embed_into(store, encoder, some).embedded == 10
    report = embed_into(store, encoder, table(sequences), progress=told.append)
    assert (report.embedded, report.reused, report.model_id) == (34, 10, "toy")
    assert (report.truncated_sequences, report.truncated_bp) == (2, 35)
    assert (report.unknown_sequences, report.unknown_bp, report.empty_sequences) == (1, 2, 1)
    kept = [min(len(sequence), 50) for sequence in sequences[10:]]
    assert report.tokens == sum(kept)
    assert 0 <= report.padding_share < 1 and report.seconds > 0
    assert 1 <= report.compile_count == len(report.buckets)
    assert report.batch_tokens == 256
    devices = len(jax.devices())
    assert all(rows * length <= 256 * devices for rows, length in report.buckets)
    assert told[-1].sequences_done == told[-1].sequences_total == 34
    assert told[-1].bp_done == told[-1].bp_total == sum(map(len, sequences[10:]))
    assert told[-1].eta_seconds == 0
    again = embed_into(store, encoder, table(sequences))
    assert (again.embedded, again.reused, again.compile_count) == (0, 44, 0)


def test_many_small_calls_meet_in_few_shapes(
    attention: Any, draw: Draw, tolerance: Tolerance
) -> None:
    encoder = attention(limit_tokens=101)
    forward = Forward(encoder)
    for seed, sequence in enumerate(draw(40, 70, 101)):
        found = embed_sequences(encoder, [sequence] * (seed % 3 + 1), forward=forward)
        expected = encoder.by_numpy(sequence)[None]
        assert relative_error(found, expected) <= tolerance("batch_invariance", "float32")
    assert forward.compile_count <= 5


def test_fewer_tokens_a_batch_than_the_models_own_are_another_identity(attention: Any) -> None:
    encoder = attention()
    assert limited(encoder, None) is limited(encoder, 512) is limited(encoder, 10**6) is encoder
    smaller = limited(encoder, 511)
    assert smaller.identity == replace(encoder.identity, batch_tokens="256")
    assert limited(encoder, 256).identity == smaller.identity
    assert limited(smaller, 511) is smaller
    assert Forward(smaller).batch_tokens == Forward(encoder, batch_tokens=300).batch_tokens == 256
    counting = build_kmer_encoder(3)
    assert limited(counting, 10) is counting and Forward(counting, batch_tokens=10)


def test_the_store_of_another_encoder_is_refused(
    attention: Any, counting: Any, table: Any, tmp_path: Path
) -> None:
    store = open_store(tmp_path, counting)
    with pytest.raises(ValueError, match="not the store"):
        embed_into(store, attention(), table(["ACGT"]))


def test_shards_are_smaller_for_larger_models(attention: Any) -> None:
    class Sized(attention):  # type: ignore[misc, valid-type]
        count: int | None = None

        @property
        def parameter_count(self) -> int | None:
            return self.count

    encoder, rows = Sized(), []
    for encoder.count in (None, 10**6, 10**8, 3 * 10**9):
        rows.append(shard_rows(encoder))
    assert rows == [2048, 2048, 512, 128]


@pytest.mark.fault("F30")
def test_rows_are_read_by_digest_and_spot_checked(
    attention: Any, draw: Draw, table: Any, tmp_path: Path
) -> None:
    encoder, sequences = attention(), table(draw(50, 20, 60))
    store = open_store(tmp_path, encoder)
    rows = read_or_embed(store, encoder, sequences)
    some = np.array([7, 7, 3, 49])
    assert read_or_embed(store, encoder, sequences, sequences.digests[some]).tobytes() == (
        rows[some].tobytes()
    )
    found = spot_check(store, encoder, sequences, sample=10)
    assert found.checked == 10 and found.passed
    other = attention(seed=1)
    assert not spot_check(store, other, sequences, sample=5).passed
    assert spot_check(store, encoder, table(["ACGT"]), sample=5).checked == 0
