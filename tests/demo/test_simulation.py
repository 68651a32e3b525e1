"""The draws behind the demo suite: chains, motifs and codons are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geneb_jax.data.simulation.bases import (
    BASES,
    base_probabilities,
    complement_rows,
    independent_rows,
    insert,
    markov_rows,
    texts,
    transitions,
    whole_numbers,
)
from geneb_jax.data.simulation.genes import CODON_USAGE, codon_rows
from geneb_jax.data.simulation.motifs import MOTIFS, motif_rows, plant, weights
from tests.tolerance import Tolerance


def _stream() -> np.random.RandomState:
    return np.random.RandomState(11)


@given(
    gc=st.floats(0.3, 0.7),
    odds=st.dictionaries(st.sampled_from(["CG", "TA", "GC", "AC"]), st.floats(0.2, 1.6)),
)
@settings(deadline=None)
def test_a_chain_has_its_base_frequencies_and_odds(
    gc: float, odds: dict[str, float], tolerance: Tolerance
) -> None:
    allowed = tolerance("simulation", "float64")
    chain = transitions(gc, odds)
    bases = base_probabilities(gc)
    assert (chain > 0).all()
    np.testing.assert_allclose(chain.sum(axis=1), 1, rtol=allowed)
    np.testing.assert_allclose(bases @ chain, bases, rtol=allowed)
    for pair, ratio in odds.items():
        first, second = (BASES.index(base) for base in pair)
        assert chain[first, second] / bases[second] == pytest.approx(ratio, rel=allowed)


def test_odds_that_no_chain_has_are_refused() -> None:
    with pytest.raises(ValueError, match="no chain"):
        transitions(0.2, {"AA": 1.5, "AT": 1.5})


def test_rows_of_a_chain_follow_it() -> None:
    chain = transitions(0.45, {"CG": 0.3, "TA": 0.7})
    codes = markov_rows(_stream(), chain[None], np.zeros(400, dtype=np.int64), 300)
    pairs = np.bincount((codes[:, :-1].astype(int) * 4 + codes[:, 1:]).ravel(), minlength=16)
    expected = (base_probabilities(0.45)[:, None] * chain).ravel() * pairs.sum()
    assert stats.chisquare(pairs, expected).pvalue > 1e-3


def test_each_row_follows_its_own_chain() -> None:
    only_a, only_t = np.zeros((4, 4)), np.zeros((4, 4))
    only_a[:, 0] = only_t[:, 3] = 1
    codes = markov_rows(_stream(), np.stack([only_a, only_t]), np.array([0, 1, 0]), 50)
    assert texts(codes) == ["A" * 50, "T" * 50, "A" * 50]


def test_independent_rows_follow_their_columns() -> None:
    columns = np.array([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0.1, 0.2, 0.3, 0.4]])
    codes = independent_rows(_stream(), 20_000, columns)
    assert (codes[:, 0] == 0).all()
    assert set(codes[:, 1]) == {1, 2}
    counts = np.bincount(codes[:, 2], minlength=4)
    assert stats.chisquare(counts, columns[2] * 20_000).pvalue > 1e-3


def test_whole_numbers_cover_their_range_evenly() -> None:
    drawn = whole_numbers(_stream(), 20_000, 3, 8)
    assert set(drawn) == {3, 4, 5, 6, 7}
    assert stats.chisquare(np.bincount(drawn)[3:]).pvalue > 1e-3


def test_the_other_strand_is_the_reverse_complement() -> None:
    codes = np.array([[0, 1, 2, 3, 3, 0]], dtype=np.uint8)
    assert texts(codes) == ["ACGTTA"]
    assert texts(complement_rows(codes)) == ["TAACGT"]


def test_a_piece_is_put_where_it_belongs() -> None:
    codes = np.zeros((3, 6), dtype=np.uint8)
    insert(codes, [2, 0], np.array([[1, 2], [3, 3]], dtype=np.uint8), np.array([4, 0]))
    assert texts(codes) == ["TTAAAA", "AAAAAA", "AAAACG"]


@pytest.mark.parametrize("name", MOTIFS)
def test_motifs_allow_their_letters_with_their_purity(name: str, tolerance: Tolerance) -> None:
    matrix = weights(MOTIFS[name], 0.9)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=tolerance("simulation", "float64"))
    for row, letter in zip(matrix, MOTIFS[name], strict=True):
        if letter in "ACGT":
            assert row["ACGT".index(letter)] == 0.9
        assert (letter == "N") == (np.ptp(row) == 0)


def test_pure_motifs_are_their_word_and_scrambled_ones_keep_the_letters() -> None:
    pure = motif_rows(_stream(), "OCT4", 50, 1.0)
    assert set(texts(pure)) == {"ATGCAAAT"}
    scrambled = motif_rows(_stream(), "OCT4", 50, 1.0, scrambled=True)
    assert {"".join(sorted(text)) for text in texts(scrambled)} == {"AAAACGTT"}
    assert len(set(texts(scrambled))) > 30


def test_a_planted_motif_is_on_both_strands_and_anywhere() -> None:
    codes = np.full((400, 30), 1, dtype=np.uint8)
    plant(_stream(), codes, np.arange(400), motif_rows(_stream(), "OCT4", 400, 1.0))
    found = texts(codes)
    forward = [text.find("ATGCAAAT") for text in found if "ATGCAAAT" in text]
    backward = [text for text in found if "ATTTGCAT" in text]
    assert len(forward) + len(backward) == 400
    assert 150 < len(forward) < 250
    assert set(forward) == set(range(23))


def test_codons_are_those_of_human_genes() -> None:
    letters = {base: index for index, base in enumerate("ACGT")}

    def share(codon: str) -> float:
        return float(CODON_USAGE[tuple(letters[base] for base in codon)])

    assert CODON_USAGE.sum() == pytest.approx(1)
    assert share("TAA") == share("TAG") == share("TGA") == 0
    # Leucine's CTG is the commonest of its six, TCG the rarest of serine's, GAG above GAA.
    assert share("CTG") == max(share(c) for c in ("TTA", "TTG", "CTT", "CTC", "CTA", "CTG"))
    assert share("TCG") == min(share(c) for c in ("TCT", "TCC", "TCA", "TCG", "AGT", "AGC"))
    assert share("GAG") > share("GAA")


def test_reading_frames_have_no_stop_in_their_phase() -> None:
    for text in texts(codon_rows(_stream(), 200, 150, 0.6)):
        frames = [{text[at : at + 3] for at in range(start, 148, 3)} for start in range(3)]
        assert any(not frame & {"TAA", "TAG", "TGA"} for frame in frames)
