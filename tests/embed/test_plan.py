"""The ladder: shapes follow from a sequence alone, hold it, and waste little; work as data."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.embed import (
    Ladder,
    ShardRows,
    ShardWork,
    embed_into,
    embed_sequences,
    embed_shard,
    embedder_of,
    plan_shards,
)
from geneb_jax.embed.batch_budget import batch_tokens_in_force
from geneb_jax.embed.forward import ladder_of
from geneb_jax.models import TokenEncoder, load_encoder
from geneb_jax.models.encoder import BATCH_RULES
from geneb_jax.store import EmbeddingStore


def by_kmers_of_4(work: ShardWork) -> ShardRows:
    """What a process of a pool is sent."""
    return embed_shard(embedder_of(load_encoder("kmer-4")), work)


lengths_lists = st.lists(st.integers(0, 3000), min_size=1, max_size=80)


def test_rungs_are_eighths_of_an_octave() -> None:
    tokens = np.arange(1, 5000)
    rungs = Ladder(512).lengths(tokens)
    assert np.unique(rungs)[:24].tolist() == [*range(1, 16), *range(16, 34, 2)]
    assert (rungs >= tokens).all() and (np.diff(rungs) >= 0).all()
    assert (1 - tokens / rungs).max() < 1 / 9
    long = tokens >= 64
    assert (1 - tokens[long] / rungs[long]).mean() < 0.06
    assert len(np.unique(Ladder(512).lengths(np.arange(10, 105)))) == 28
    assert len(np.unique(Ladder(512, small=True).lengths(np.arange(10, 105)))) == 15


@given(lengths_lists, st.sampled_from([1, 6, 64]), st.sampled_from([None, 3000]), st.booleans())
def test_the_rung_of_a_sequence_holds_it_and_knows_no_other(
    drawn: list[int], multiple: int, longest: int | None, exact: bool
) -> None:
    ladder = Ladder(
        512, length_multiple=multiple, longest_tokens=longest, exact_length=exact and multiple == 1
    )
    rungs = ladder.lengths(np.array(drawn))
    assert (rungs >= drawn).all() and (rungs % multiple == 0).all()
    assert rungs.tolist() == [int(ladder.lengths(np.array([length]))[0]) for length in drawn]
    assert longest is None or rungs.max() < longest + multiple
    if ladder.exact_length:
        assert rungs.tolist() == [max(1, length) for length in drawn]


@given(
    lengths_lists,
    st.integers(1, 2000),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3]),
    st.booleans(),
)
@settings(max_examples=150)
def test_every_sequence_is_in_exactly_one_batch_that_holds_it(
    drawn: list[int], batch_tokens: int, most_rows: int, devices: int, any_rows: bool
) -> None:
    lengths = np.array(drawn)
    ladder = Ladder(batch_tokens, most_rows=most_rows, devices=devices, any_rows=any_rows)
    batches = ladder.batches(lengths)
    members = np.concatenate([batch.members for batch in batches])
    assert sorted(members.tolist()) == list(range(len(lengths)))
    ends = [batch.bucket.length_tokens for batch in batches]
    assert ends == sorted(ends, reverse=True)
    for batch in batches:
        bucket = batch.bucket
        rungs = ladder.lengths(lengths[batch.members])
        assert (rungs <= bucket.length_tokens).all()
        assert 1 <= len(batch.members) <= bucket.rows and bucket.rows % devices == 0
        a_device = bucket.rows // devices
        assert a_device <= most_rows
        assert a_device == 1 or a_device * bucket.length_tokens <= 4 * batch_tokens
        if any_rows:
            assert bucket.rows < 2 * len(lengths) + devices
        else:
            assert bucket == ladder.bucket(bucket.length_tokens)
            assert (rungs == bucket.length_tokens).all()


def test_counting_wastes_no_rows_on_whole_shards_and_few_programs() -> None:
    ladder = Ladder(1 << 17, most_rows=512, any_rows=True)
    lengths = np.random.default_rng(0).integers(70, 601, 120_000)
    whole = np.sort(lengths)[::-1][: 58 * 2048].reshape(58, 2048)
    shards = [ladder.batches(shard) for shard in whole]
    assert all(len(batch.members) == batch.bucket.rows for shard in shards for batch in shard)
    assert len({batch.bucket for shard in shards for batch in shard}) <= 7
    positions = sum(b.bucket.rows * b.bucket.length_tokens for shard in shards for b in shard)
    assert positions < 1.3 * whole.sum()
    # All at once: a shape more is worth sixteen batches of padding.
    batches = ladder.batches(lengths[:8000])
    assert len({batch.bucket for batch in batches}) == 2
    assert sum(batch.bucket.rows - len(batch.members) for batch in batches) < 512
    assert len(ladder.batches(np.array([500, 70, 300]))) == 1


def test_rows_of_a_rung_are_those_that_its_tokens_hold_or_two() -> None:
    ladder = Ladder(512)
    rows = [ladder.bucket(length).rows for length in (1, 64, 88, 256, 300, 1024, 1152, 10**6)]
    assert rows == [512, 8, 5, 2, 2, 2, 1, 1]
    assert Ladder(512, devices=4).bucket(64).rows == 32


def test_shards_do_not_depend_on_the_order_of_the_table(draw: Any, table: Any) -> None:
    texts = draw(60, 1, 4)
    one = table(texts)
    two = table(texts[::-1])
    plans = [plan_shards(t, np.arange(len(t.sequences)), rows_per_shard=16) for t in (one, two)]
    for first, second in zip(*plans, strict=True):
        assert first.texts == second.texts and first.name == second.name
        assert first.digests.tobytes() == second.digests.tobytes()
        assert [one.sequences[at] for at in first.positions] == list(first.texts)
    keys = [
        (-len(text), digest.tobytes())
        for text, digest in zip(one.sequences, one.digests, strict=True)
    ]
    order = np.concatenate([shard.positions for shard in plans[0]]).tolist()
    assert order == sorted(range(len(keys)), key=keys.__getitem__)
    assert len({shard.name for shard in plans[0]}) == len(plans[0])


def test_a_shard_is_embedded_the_same_in_another_process(draw: Any, table: Any) -> None:
    sequences = table(draw(50, 20, 60))
    works = plan_shards(sequences, np.arange(50), rows_per_shard=16)
    embedder = embedder_of(load_encoder("kmer-4"))
    here = [embed_shard(embedder, work) for work in works]
    again = pickle.loads(pickle.dumps(works))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        there = list(pool.map(by_kmers_of_4, again))
    for one, two in zip(here, there, strict=True):
        assert one.name == two.name
        assert one.rows.tobytes() == two.rows.tobytes()
        assert one.digests.tobytes() == two.digests.tobytes()
        assert one.positions.tolist() == two.positions.tolist()
    rows = np.concatenate([shard.rows for shard in there])
    order = np.concatenate([shard.positions for shard in there])
    whole = embed_sequences(load_encoder("kmer-4"), sequences.sequences)
    assert rows.tobytes() == whole[order].tobytes()


def test_another_executor_fills_a_store(draw: Any, table: Any, tmp_path: Path) -> None:
    sequences, encoder = table(draw(50, 20, 60)), load_encoder("kmer-4")
    store = EmbeddingStore.open(tmp_path, encoder.identity, encoder.width, rows_per_shard=16)
    spawn = multiprocessing.get_context("spawn")
    told: list[Any] = []
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        report = embed_into(
            store,
            encoder,
            sequences,
            executor=pool.map,
            embed=by_kmers_of_4,
            progress=told.append,
        )
    assert (report.embedded, report.reused) == (50, 0)
    assert told[-1].sequences_done == told[-1].sequences_total == 50
    expected = embed_sequences(encoder, sequences.sequences)
    assert store.read(sequences.digests).tobytes() == expected.tobytes()


@pytest.mark.parametrize("lengths", [[], [0]])
def test_nothing_and_empty_sequences_are_planned(lengths: list[int]) -> None:
    assert len(Ladder(512).batches(np.array(lengths, np.int64))) == len(lengths)


class Shaped:
    """What of an encoder decides its shapes."""

    batch_tokens = None
    length_multiple = 1
    exact_length = any_rows = False

    def __init__(self, parameters: int, longest: int | None) -> None:
        self.parameter_count, self.longest_tokens = parameters, longest


@pytest.mark.fault("F44")
def test_the_rules_of_batches_are_those_of_their_version() -> None:
    shapes = [
        (parameters, platform, length, ladder.bucket(int(ladder.lengths(np.array([length]))[0])))
        for parameters in (10**5, 2 * 10**6, 5 * 10**7, 5 * 10**8, 7 * 10**9)
        for platform in ("cpu", "gpu", "tpu")
        for encoder in [cast(TokenEncoder, Shaped(parameters, 4096))]
        for ladder in [ladder_of(encoder, batch_tokens_in_force(encoder, None, platform))]
        for length in (1, 7, 40, 100, 333, 1000, 3000)
    ]
    digest = hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]
    # Another digest here is another version there: stored rows would not be those of their key.
    assert (digest, BATCH_RULES) == ("ff3646479f753e5e", "batches/2")
