"""Simulated transcripts: codons, splice sites, coding and non-coding RNA.

Each builder takes a random stream and the labels, and returns one text a label.
"""

from __future__ import annotations

import numpy as np

from geneb_jax.data.simulation.bases import (
    BASES,
    base_probabilities,
    independent_rows,
    insert,
    markov_rows,
    texts,
    transitions,
    whole_numbers,
)
from geneb_jax.data.simulation.motifs import motif_rows

__all__ = ["CODON_USAGE", "coding_frames", "codon_rows", "plant_transcripts", "splice_sites"]

#: Codons of human genes per thousand (Nakamura, Gojobori and Ikemura 2000, Nucleic Acids Res
#: 28:292), by first, second, third base, each in the order T, C, A, G; stop codons are left out.
_PER_THOUSAND = """
17.6 20.3  7.7 12.9  15.2 17.7 12.2  4.4  12.2 15.3  0    0    10.6 12.6  0   13.2
13.2 19.6  7.2 39.6  17.5 19.8 16.9  6.9  10.9 15.1 12.3 34.2   4.5 10.4  6.2 11.4
16.0 20.8  7.5 22.0  13.1 18.9 15.1  6.1  17.0 19.1 24.4 31.9  12.1 19.5 12.2 12.0
11.0 14.5  7.1 28.1  18.4 27.7 15.8  7.4  21.8 25.1 29.0 39.6  10.8 22.2 16.5 16.5
"""


def _codon_usage() -> np.ndarray:
    table = np.array(_PER_THOUSAND.split(), dtype=np.float64).reshape(4, 4, 4)
    order = ["TCAG".index(base) for base in BASES]
    usage = table[np.ix_(order, order, order)]
    return usage / usage.sum()


#: ``[first, second, third]``, summing to 1.
CODON_USAGE = _codon_usage()


def codon_rows(
    stream: np.random.RandomState, rows: int, length_bp: int, gc3_odds: float
) -> np.ndarray:
    """Rows cut from reading frames without stops, at a random phase.

    Args:
        stream: Source of random numbers.
        rows: Number of rows.
        length_bp: Bases a row.
        gc3_odds: Factor on codons that end in C or G (1 is human; below 1, as in most plants,
            moves the third position towards A and T).
    """
    usage = CODON_USAGE * np.array([1.0, gc3_odds, gc3_odds, 1.0])
    limits = np.cumsum(usage.ravel() / usage.sum())[:-1]
    count = length_bp // 3 + 2
    codons = np.searchsorted(limits, stream.random_sample((rows, count)), side="right")
    bases = np.stack(np.unravel_index(codons, (4, 4, 4)), axis=-1).astype(np.uint8)
    phases = whole_numbers(stream, rows, 0, 3)
    columns = phases[:, None] + np.arange(length_bp)
    return np.take_along_axis(bases.reshape(rows, -1), columns, axis=1)


def coding_frames(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Human-like coding DNA (1) against its own dinucleotides without a frame (0); 300 bp.

    Class 0 is a first-order chain with the mean base and dinucleotide frequencies of class 1, so
    only words of three bases and more, and their period, tell the classes apart.
    """
    labels = np.asarray(labels)
    codes = codon_rows(stream, len(labels), 300, 1.0)
    chain = _dinucleotides_of(CODON_USAGE)
    frameless = markov_rows(stream, chain[None], np.zeros(len(labels), dtype=np.int64), 300)
    return texts(np.where(labels[:, None] == 1, codes, frameless))


def _dinucleotides_of(usage: np.ndarray) -> np.ndarray:
    """Chain ``[from, to]`` with the dinucleotides of codons, over the three phases."""
    first, third = usage.sum(axis=(1, 2)), usage.sum(axis=(0, 1))
    pairs = usage.sum(axis=2) + usage.sum(axis=0) + np.outer(third, first)
    chain: np.ndarray = pairs / pairs.sum(axis=1, keepdims=True)
    return chain


def plant_transcripts(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Plant lncRNA (1) against messenger RNA (0); 200 to 400 bp.

    Messenger rows are codons with an AT-leaning third position, between an untranslated start and
    end; lncRNA rows are a first-order chain of the same GC content with AA, TT and a simple repeat
    (three to six copies of a random dinucleotide) more often.
    """
    labels = np.asarray(labels)
    count, longest_bp = len(labels), 400
    lengths = whole_numbers(stream, count, 200, longest_bp + 1)
    chain = transitions(0.46, {"AA": 1.1, "TT": 1.1, "CG": 0.8})
    codes = markov_rows(stream, chain[None], np.zeros(count, dtype=np.int64), longest_bp)
    coding = np.flatnonzero(labels == 0)
    insert(codes, coding, codon_rows(stream, len(coding), 140, 0.6), lengths[coding] // 2 - 70)
    repeated = np.flatnonzero((labels == 1) & (stream.random_sample(count) < 0.5))
    units = independent_rows(stream, len(repeated), np.tile(base_probabilities(0.3), (2, 1)))
    copies = whole_numbers(stream, len(repeated), 3, 7)
    for number in range(3, 7):
        chosen = copies == number
        starts = whole_numbers(stream, int(chosen.sum()), 0, 180)
        insert(codes, repeated[chosen], np.tile(units[chosen], (1, number)), starts)
    return [text[:length] for text, length in zip(texts(codes), lengths, strict=True)]


def splice_sites(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Donor (1), acceptor (2) or neither (0), the junction in the middle of 100 bp.

    Donor: exon, then the donor consensus around GT, then intron. Acceptor: intron with a branch
    point, its A 19 to 33 bases before the exon, a tract of pyrimidines, AG, exon. Neither: a decoy
    GT or AG in the middle of exon-like DNA. Exons have GC content 0.52, introns 0.42.
    """
    labels = np.asarray(labels)
    count = len(labels)
    exon, intron = base_probabilities(0.52), base_probabilities(0.42)
    halves = np.empty((count, 100, 4))
    halves[:] = exon
    halves[labels == 1, 50:] = intron
    halves[labels == 2, :50] = intron
    codes = independent_rows(stream, count, halves)
    donors, acceptors, decoys = (np.flatnonzero(labels == label) for label in (1, 2, 0))

    insert(codes, donors, motif_rows(stream, "donor", len(donors), 0.9), np.full(len(donors), 47))
    codes[donors[:, None], [50, 51]] = [BASES.index(base) for base in "GT"]

    tract = np.tile([0.14, 0.33, 0.14, 0.39], (14, 1))
    tract_rows = independent_rows(stream, len(acceptors), tract)
    insert(codes, acceptors, tract_rows, np.full(len(acceptors), 33))
    branch = motif_rows(stream, "branch point", len(acceptors), 0.9)
    insert(codes, acceptors, branch, whole_numbers(stream, len(acceptors), 12, 27))
    codes[acceptors[:, None], [48, 49]] = [BASES.index(base) for base in "AG"]

    kind = stream.random_sample(len(decoys)) < 0.5
    for rows, word, place in ((decoys[kind], "GT", [50, 51]), (decoys[~kind], "AG", [48, 49])):
        codes[rows[:, None], place] = [BASES.index(base) for base in word]
    return texts(codes)
