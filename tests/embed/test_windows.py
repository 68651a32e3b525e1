"""Sequences longer than the context: every letter read, every token weighed, every count exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.embed import (
    RowCounts,
    embed_into,
    embed_sequences,
    load_model,
    open_store,
    row_counts,
    with_row_counts,
)
from geneb_jax.embed.windows import mean_over_windows, window_blocks, window_starts
from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models import Encoder, LoadOptions, load_encoder
from geneb_jax.models.context import context_letters, with_policy
from geneb_jax.models.encoder import SequenceEncoder, TokenEncoder, TokenizedSequence
from geneb_jax.overlong import Overlong, parse_overlong
from tests.tolerance import Tolerance, relative_error

LIMIT = 24


class Words(TokenEncoder):
    """Two letters a token, but N and an odd last letter are tokens of their own; mean of vectors.

    A first token that is special; ``LIMIT`` tokens in all.
    """

    longest_tokens: int | None = LIMIT
    unknown_id = 16

    def __init__(self) -> None:
        table = np.random.default_rng(7).normal(size=(22, 3)).astype(np.float32)
        self.params = {"table": table}
        self._identity = EncoderIdentity(
            "words", "test", "none", "pairs", "mean", -1, "float32", "words/1"
        )

    @property
    def identity(self) -> EncoderIdentity:
        return self._identity

    @property
    def width(self) -> int:
        return 3

    @staticmethod
    def pieces(sequence: str) -> list[str]:
        found, at = [], 0
        while at < len(sequence):
            two = sequence[at : at + 2]
            found.append(two if len(two) == 2 and "N" not in two else two[0])
            at += len(found[-1])
        return found

    def tokenize(self, sequence: str) -> TokenizedSequence:
        pieces = self.pieces(sequence)
        kept = pieces[: LIMIT - 1]
        singles = dict(zip("NACGT", range(16, 21), strict=True))
        ids = [
            singles[piece] if len(piece) == 1 else 4 * "ACGT".find(piece[0]) + "ACGT".find(piece[1])
            for piece in kept
        ]
        return TokenizedSequence(
            np.array([21, *ids], np.int32),
            dropped_bp=len(sequence) - len("".join(kept)),
            unknown_bp=sequence.count("N"),
        )

    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        import jax.numpy as jnp

        count = jnp.sum(mask, axis=1, dtype=jnp.float32)[:, None]
        return jnp.sum(jnp.where(mask[:, :, None], params["table"][ids], 0.0), axis=1) / count

    def tokens_by_hand(self, text: str) -> np.ndarray:
        """Token vectors of a text, float64."""
        return self.params["table"].astype(np.float64)[self.tokenize(text).ids]


class Letters(SequenceEncoder):
    """Counts of letters; says nothing of its context or tokens."""

    def __init__(self) -> None:
        self._identity = EncoderIdentity("l", "t", "none", "text", "sum", -1, "float32", "l/1")
        self.most = 0

    @property
    def identity(self) -> EncoderIdentity:
        return self._identity

    @property
    def width(self) -> int:
        return 5

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        self.most = max([self.most, *map(len, sequences)])
        return np.array([[text.count(x) for x in "ACGTN"] for text in sequences], np.float32)


@pytest.fixture
def words() -> Words:
    return with_policy(Words(), "windows")


@given(length=st.integers(0, 300), size=st.integers(1, 60), share=st.floats(0.01, 1.0))
def test_windows_cover_and_end_with_the_text(length: int, size: int, share: float) -> None:
    stride = max(1, round(share * size))
    starts = list(window_starts(length, size, stride))
    covered = {at for start in starts for at in range(start, min(start + size, length))}
    assert covered == set(range(length))
    assert starts == sorted(set(starts)) and starts[0] == 0
    assert starts[-1] == max(0, length - size)
    assert all(b - a <= stride for a, b in pairwise(starts))


def test_the_context_in_letters_is_found_out(words: Words) -> None:
    assert context_letters(Words()) == 2 * (LIMIT - 1)
    assert words.overlong == Overlong("windows", 46, 23)
    assert words.identity.overlong == "windows:46:23"
    # Six letters a token and a first special one.
    assert context_letters(load_encoder("tiny-nt-v1")) == 6 * 999


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text("ACGTN", max_size=200) | st.text("ACGT", max_size=200), max_size=4),
    stride=st.integers(1, 46),
)
def test_the_mean_is_that_of_all_token_vectors(
    texts: list[str], stride: int, tolerance: Tolerance
) -> None:
    """Against the mean over the token vectors of every window, in float64."""
    encoder = with_policy(Words(), f"windows:46:{stride}")
    rows = mean_over_windows(
        encoder,
        texts,
        lambda some: np.array([encoder.tokens_by_hand(t).mean(0) for t in some], np.float32),
    )
    assert rows.shape == (len(texts), 3) and rows.dtype == np.float32
    spans: dict[int, list[tuple[int, int]]] = {}
    for block in window_blocks(encoder, texts):
        for owner, (start, stop) in zip(block.owners.tolist(), block.spans.tolist(), strict=True):
            spans.setdefault(owner, []).append((start, stop))
    for at, text in enumerate(texts):
        windows = [text[start:stop] for start, stop in spans[at]]
        assert all(encoder.tokenize(window).dropped_bp == 0 for window in windows)
        seen = {place for start, stop in spans[at] for place in range(start, stop)}
        assert seen == set(range(len(text)))
        if len(text) <= 46 and len(Words.pieces(text)) < LIMIT:
            assert windows == [text]
        if "N" not in text:
            starts = window_starts(len(text), 46, stride)
            assert windows == [text[first : first + 46] for first in starts]
        every = np.concatenate([encoder.tokens_by_hand(window) for window in windows])
        assert relative_error(rows[at], every.mean(0)) <= tolerance("batch_invariance", "float32")


def test_rows_of_any_shape_are_averaged(words: Words) -> None:
    texts = ["ACGT" * 50, "GG"]

    def rows_of(some: tuple[str, ...]) -> np.ndarray:
        flat = np.array([words.tokens_by_hand(text).mean(0) for text in some], np.float32)
        return np.stack([flat, 2 * flat], axis=1)

    rows = mean_over_windows(words, texts, rows_of)
    assert rows.shape == (2, 2, 3)
    np.testing.assert_array_equal(rows[:, 1], 2 * rows[:, 0])
    np.testing.assert_array_equal(
        rows[:, 0], mean_over_windows(words, texts, lambda some: rows_of(some)[:, 0])
    )


def test_within_the_context_no_bit_changes_and_company_changes_none(draw: Any) -> None:
    short, long = [*draw(3, 1, 600, seed=3), "ACG" * 1998], draw(2, 6000, 12_000, seed=4)
    plain, windows = (
        load_encoder("tiny-nt-v1", LoadOptions(overlong=o)) for o in (None, "windows")
    )
    assert windows.identity == replace(plain.identity, overlong="windows:5994:2997")
    together = embed_sequences(windows, [*short, *long])
    np.testing.assert_array_equal(together[:4], embed_sequences(plain, short))
    for at in range(2):
        np.testing.assert_array_equal(embed_sequences(windows, [long[at]])[0], together[4 + at])
        assert np.abs(embed_sequences(plain, [long[at]])[0] - together[4 + at]).max() > 1e-3


def test_blocks_of_any_size_give_the_same_bits(
    words: Words, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*draw(6, 0, 400), "ACG" + "N" * 90 + "TTA" * 60]
    whole = embed_sequences(words, texts)
    monkeypatch.setattr("geneb_jax.embed.windows._BLOCK_LETTERS", 50)
    np.testing.assert_array_equal(embed_sequences(words, texts), whole)


@pytest.mark.fault("F68")
def test_counts_are_exact_whether_embedded_or_read(
    words: Words, table: Any, tmp_path: Path, draw: Any
) -> None:
    """Unknown letters once, whatever windows overlap there; tokens as they ran."""
    texts = table(["ACGT" * 30 + "N" + "ACGT" * 30, "AC", "", "N" * 50, *draw(2, 100, 150)])
    store = open_store(tmp_path, words)
    first = embed_into(store, words, texts)
    assert (first.truncated_sequences, first.truncated_bp) == (0, 0)
    assert (first.unknown_sequences, first.unknown_bp) == (2, 51)
    counts = row_counts(words, texts.sequences)
    assert counts is not None and counts.unknown_tokens is not None
    assert counts.unknown_bp.tolist()[:4] == [1, 0, 0, 50]
    assert counts.cut_bp.tolist() == [0] * 6
    assert counts.windows.tolist()[:4] == [len(window_starts(241, 46, 23)), 1, 1, 3]
    assert counts.unknown_tokens[2] == 0 and counts.unknown_tokens[3] >= 50
    assert first.windows == counts.windows.sum() and first.tokens == counts.tokens.sum()
    assert first.windowed_sequences == 4
    again = with_row_counts(embed_into(store, words, texts), counts)
    assert again.embedded == 0 and again.reused == 6
    for name in ("truncated_bp", "unknown_bp", "unknown_tokens", "empty_sequences", "windows"):
        assert getattr(again, name) == getattr(first, name), name


def test_without_windows_the_cut_is_counted() -> None:
    counts = row_counts(Words(), ["ACGT" * 30, "A"])
    assert isinstance(counts, RowCounts)
    assert counts.cut_bp.tolist() == [120 - 46, 0]
    assert counts.windows.tolist() == [1, 1] and counts.tokens.tolist() == [LIMIT, 2]


def test_what_embeds_by_itself_is_weighed_by_letters() -> None:
    encoder = with_policy(Letters(), "windows:10:6")
    texts = ["AAAAAAAAAACCCCCCG", "ACGT"]
    rows = embed_sequences(encoder, texts)
    windows = [texts[0][start : start + 10] for start in (0, 6, 7)]
    expected = np.mean([[window.count(x) for x in "ACGTN"] for window in windows], axis=0)
    np.testing.assert_array_equal(rows[0], expected.astype(np.float32))
    np.testing.assert_array_equal(rows[1], [1, 1, 1, 1, 0])
    assert encoder.most == 10
    assert row_counts(encoder, texts) is None  # unknown, not 0


def test_a_row_that_is_not_finite_in_one_window_is_not_stored(table: Any, tmp_path: Path) -> None:
    class Broken(Letters):
        def embed(self, sequences: Sequence[str]) -> np.ndarray:
            rows = super().embed(sequences)
            rows[["GGG" in text for text in sequences]] = np.nan
            return rows

    encoder = with_policy(Broken(), "windows:10")
    texts = table(["ACGT" * 9 + "GGG" + "ACGT" * 9, "ACGT" * 9])
    bad: list[Any] = []
    report = embed_into(open_store(tmp_path, encoder), encoder, texts, on_nonfinite=bad.append)
    assert report.embedded == 1 and bad[0].positions.tolist() == [0]


def test_unit_length_stays_unit_length(draw: Any, tolerance: Tolerance) -> None:
    options = LoadOptions(pooling="mean+normalize", overlong="windows")
    rows = embed_sequences(load_encoder("tiny-nt-v1", options), draw(2, 7000, 20_000))
    near = tolerance("unit_length", "float32")
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=near)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("windows:47", "longer than the context of words, which holds 46 letters"),
        ("windows:20:21", "leave letters out"),
        ("windows:0", "do not cover"),
        ("windows:10:0", "do not cover"),
        ("window", "known are truncate, windows"),
        ("windows:ten", "SIZE and STRIDE are letters"),
        ("windows:", "unknown policy"),
    ],
)
def test_what_cannot_be_is_refused(asked: str, said: str) -> None:
    with pytest.raises(SelectionError, match=said):
        with_policy(Words(), asked)


@pytest.mark.parametrize("asked", ["windows", "refuse"])
def test_a_model_of_unknown_context_needs_a_size(asked: str) -> None:
    with pytest.raises(SelectionError, match=r"does not say how long.*windows:SIZE"):
        with_policy(Letters(), asked)


def test_counting_needs_no_windows(caplog: pytest.LogCaptureFixture) -> None:
    plain = load_encoder("kmer-4")
    for asked in ("windows", "windows:100:50", "refuse"):
        encoder: Encoder = load_encoder("kmer-4", LoadOptions(overlong=asked))
        assert encoder.identity == plain.identity
        assert f"kmer-4 counts sequences of any length whole: {asked} changes" in caplog.text


def test_refuse_refuses_and_changes_no_bit_else(draw: Any) -> None:
    encoder = with_policy(Words(), "refuse")
    short = draw(5, 1, 46)
    np.testing.assert_array_equal(embed_sequences(encoder, short), embed_sequences(Words(), short))
    with pytest.raises(ModelError, match=r"1 of 6 .*\(24 tokens.*has 47 letters, 1 too many"):
        embed_sequences(encoder, [*short, "A" * 47])


def test_policies_are_read_as_they_are_written() -> None:
    for text in ("truncate", "refuse", "windows", "windows:10:5", "windows:10:10"):
        assert str(parse_overlong(text)) == text
    assert str(parse_overlong("windows:11")) == "windows:11:5"
    assert str(parse_overlong("windows:1")) == "windows:1:1"


def test_the_library_takes_it_too() -> None:
    text = "ACGTTGCA" * 2000
    windows, plain = (load_model("tiny-nt-v1", overlong=o) for o in ("windows", "truncate"))
    assert windows.encoder.identity.overlong == "windows:5994:2997"
    assert np.abs(windows.embed([text]) - plain.embed([text])).max() > 0
    np.testing.assert_array_equal(windows.embed([text[:5994]]), plain.embed([text]))
