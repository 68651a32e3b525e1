"""The batch plan: complete, within its bounds, and as tight as brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.embed import Bucket, plan_batches
from geneb_jax.embed.bucket_lengths import MOST_BUCKETS, choose_bucket_lengths

lengths_lists = st.lists(st.integers(0, 300), min_size=1, max_size=80)


def padded(lengths: np.ndarray, ends: np.ndarray) -> int:
    return int(ends[np.searchsorted(ends, np.maximum(lengths, 1))].sum())


@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(1, 4))
def test_bucket_lengths_waste_as_little_as_brute_force(drawn: list[int], most: int) -> None:
    lengths = np.array(drawn)
    chosen = choose_bucket_lengths(lengths, most=most)
    distinct = np.unique(lengths)
    best = min(
        padded(lengths, np.array([*ends, distinct[-1]]))
        for count in range(min(most, len(distinct)))
        for ends in itertools.combinations(distinct[:-1].tolist(), count)
    )
    # A bucket that saves under one percent of the tokens is not taken, at each of the steps.
    assert padded(lengths, chosen) <= best + 0.01 * most * lengths.sum()
    assert len(chosen) <= most and chosen[-1] == lengths.max()


@given(lengths_lists, st.sampled_from([1, 6, 64]))
def test_bucket_lengths_are_few_and_multiples(drawn: list[int], multiple: int) -> None:
    chosen = choose_bucket_lengths(np.array(drawn), multiple=multiple)
    assert 1 <= len(chosen) <= MOST_BUCKETS
    assert (np.diff(chosen) > 0).all() and (chosen % multiple == 0).all()
    assert max(drawn) <= chosen[-1] < max(1, max(drawn)) + multiple


def test_lengths_that_all_agree_are_one_bucket_without_padding() -> None:
    assert choose_bucket_lengths(np.full(1000, 251)).tolist() == [251]


def test_many_distinct_lengths_are_planned_as_tightly_as_from_all_of_them() -> None:
    """A few fixed lengths with long tails; the figures are those of the unthinned search."""
    rng = np.random.default_rng(0)
    fixed = np.repeat(
        [41, 70, 101, 251, 300, 500], [285_000, 58_000, 108_000, 13_000, 20_000, 25_000]
    )
    tail = rng.integers(40, 3000, 3000)
    megabases = rng.integers(10_000, 1_000_000, 300)
    uniform = rng.integers(40, 3000, 50_000)
    for lengths, best in (
        (np.concatenate([fixed, tail]), 1.0298),
        (np.concatenate([uniform, megabases]), 1.2291),
    ):
        chosen = choose_bucket_lengths(lengths)
        assert len(chosen) <= MOST_BUCKETS
        assert padded(lengths, chosen) <= 1.02 * best * lengths.sum()


@given(
    lengths_lists,
    st.integers(1, 2000),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3]),
    st.booleans(),
)
@settings(max_examples=150)
def test_every_sequence_is_in_exactly_one_batch_that_holds_it(
    drawn: list[int], batch_tokens: int, rows_per_shard: int, devices: int, exact: bool
) -> None:
    lengths = np.array(drawn)
    plan = plan_batches(
        lengths,
        batch_tokens=batch_tokens,
        rows_per_shard=rows_per_shard,
        row_multiple=devices,
        exact_length=exact,
    )
    assert sorted(plan.order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[plan.order]) <= 0).all()
    seen: list[int] = []
    for first in range(0, len(lengths), rows_per_shard):
        shard = plan.order[first : first + rows_per_shard]
        batches = list(plan.batches(shard))
        assert np.concatenate([batch.members for batch in batches]).tolist() == shard.tolist()
        for batch in batches:
            seen += batch.members.tolist()
            bucket = batch.bucket
            assert 1 <= len(batch.members) <= bucket.rows and bucket.rows % devices == 0
            assert (lengths[batch.members] <= bucket.length_tokens).all()
            assert bucket.rows <= devices or bucket.rows < rows_per_shard + devices
            if bucket.rows > devices:
                one_device_less = bucket.rows - devices + 1
                assert one_device_less * bucket.length_tokens <= batch_tokens
            if exact:
                assert (np.maximum(lengths[batch.members], 1) == bucket.length_tokens).all()
    assert sorted(seen) == list(range(len(lengths)))
    assert exact or len(plan.buckets) <= MOST_BUCKETS


def test_ties_go_by_digest_so_that_the_order_of_the_table_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 4, 60)
    digests = rng.integers(0, 256, (60, 16)).astype(np.uint8)
    shuffled = rng.permutation(60)
    options = {"batch_tokens": 64, "rows_per_shard": 16}
    one = plan_batches(lengths, digests=digests, **options)
    two = plan_batches(lengths[shuffled], digests=digests[shuffled], **options)
    assert digests[one.order].tobytes() == digests[shuffled][two.order].tobytes()
    keys = [(-lengths[at], digests[at].tobytes()) for at in range(60)]
    assert one.order.tolist() == sorted(range(60), key=keys.__getitem__)


@pytest.mark.parametrize(
    ("known", "lengths", "reused"),
    [
        (Bucket(100, 8), [90] * 8, True),
        (Bucket(100, 8), [101] * 8, False),  # too long
        (Bucket(100, 1), [100] * 500, False),  # one row a batch is slower than a compilation
        (Bucket(100, 100), [100], True),  # less than a batch is wasted
        (Bucket(4000, 2), [40] * 2000, False),  # nearly all padding
    ],
)
def test_compiled_shapes_are_used_again_where_they_waste_little(
    known: Bucket, lengths: list[int], reused: bool
) -> None:
    plan = plan_batches(
        np.array(lengths), batch_tokens=10_000, rows_per_shard=2048, known_buckets=[known]
    )
    assert (plan.buckets == (known,)) is reused
