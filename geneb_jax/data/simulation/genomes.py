"""Simulated genomes: nucleosomes, methylation, species, phages and their hosts.

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
from geneb_jax.data.simulation.motifs import motif_rows, plant

__all__ = ["methylated_contexts", "nucleosome_phasing", "phage_fragments", "species_chains"]

#: GC content and odds of dinucleotides: approximate, after the genome signatures of Karlin and
#: Burge 1995, Trends Genet 11:283.
SPECIES = {
    "human": (0.41, {"CG": 0.23, "TG": 1.2, "CA": 1.2, "TA": 0.73}),
    "yeast": (0.38, {"CG": 0.8, "TA": 0.77, "AA": 1.1, "TT": 1.1}),
    "worm": (0.36, {"CG": 0.97, "TA": 0.61, "AA": 1.3, "TT": 1.3}),
    "fruit fly": (0.42, {"CG": 0.93, "TA": 0.75, "AA": 1.2, "TT": 1.2, "GC": 1.28}),
}


def nucleosome_phasing(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Nucleosome DNA (1) against linker DNA (0); 150 bp.

    In nucleosomes A and T come and go with a period of 10.2 bases (Satchwell, Drew and Travers
    1986, J Mol Biol 191:659), so that AA, TT and TA return and GC lies between them. Linkers have
    the same GC content without a period and, 0.6 a row on average, poly(dA:dT) tracts of 7 to 10
    bases (Iyer and Struhl 1995, EMBO J 14:2570).
    """
    labels = np.asarray(labels)
    count, length_bp = len(labels), 150
    offset = stream.random_sample(count) * 10.2
    phase = 2 * np.pi * (np.arange(length_bp)[None, :] - offset[:, None]) / 10.2
    at = 0.6 + 0.3 * np.cos(phase)
    at[labels == 0] = 0.6
    probabilities = np.stack([at / 2, (1 - at) / 2, (1 - at) / 2, at / 2], axis=-1)
    codes = independent_rows(stream, count, probabilities)
    for tract_bp in range(7, 11):
        rows = np.flatnonzero((labels == 0) & (stream.random_sample(count) < 0.15))
        tracts = np.where(stream.random_sample(len(rows)) < 0.5, 0, 3).astype(np.uint8)
        pieces = np.repeat(tracts[:, None], tract_bp, axis=1)
        insert(codes, rows, pieces, whole_numbers(stream, len(rows), 0, length_bp - tract_bp))
    return texts(codes)


def methylated_contexts(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """A methylated base (1) or the same base unmethylated (0) in the middle of 61 bp.

    Methylated rows have the recognition sequence of a methyltransferase around the middle:
    N4-methyl-C of PvuII (CAGCTG) or BamHI (GGATCC), N6-methyl-A of Dam (GATC) or CcrM (GANTC), as
    listed in REBASE (Roberts et al. 2015, Nucleic Acids Res 43:D298). Unmethylated rows have the
    same letters around the same base, scrambled.
    """
    labels = np.asarray(labels)
    count = len(labels)
    codes = independent_rows(stream, count, np.tile(base_probabilities(0.48), (count, 61, 1)))
    words = (("CAGCTG", 3), ("GGATCC", 4), ("GATC", 1), ("GANTC", 1))
    kind = whole_numbers(stream, count, 0, len(words))
    for which, (word, base) in enumerate(words):
        rows = np.flatnonzero(kind == which)
        letters = np.array([BASES.index(letter if letter != "N" else "A") for letter in word])
        pieces = np.tile(letters.astype(np.uint8), (len(rows), 1))
        if "N" in word:
            pieces[:, word.index("N")] = whole_numbers(stream, len(rows), 0, 4)
        others = [place for place in range(len(word)) if place != base]
        order = np.argsort(stream.random_sample((len(rows), len(others))), axis=1, kind="stable")
        scrambled = pieces.copy()
        scrambled[:, others] = np.take_along_axis(pieces[:, others], order, axis=1)
        chosen = np.where(labels[rows][:, None] == 1, pieces, scrambled)
        insert(codes, rows, chosen, np.full(len(rows), 30 - base))
    return texts(codes)


def species_chains(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Which of four species a row of 120 bp is from: human, yeast, worm or fruit fly, 0 to 3.

    Each species is a first-order chain with its GC content and its dinucleotide bias.
    """
    chains = np.stack([transitions(gc, odds) for gc, odds in SPECIES.values()])
    return texts(markov_rows(stream, chains, np.asarray(labels), 120))


def phage_fragments(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Fragments of a phage (1) or of its host (0); 300 bp, either strand.

    Host: GC content 0.51, CTAG taken out, as bacteria avoid it (Burge, Campbell and Karlin 1992,
    PNAS 89:1358); in half of the rows a sigma70 promoter (-35 and -10 boxes 17 bases apart), in a
    third a Chi site. Phage: GC 0.49, CTAG not avoided, in half of the rows a promoter of the T7 RNA
    polymerase.
    """
    labels = np.asarray(labels)
    count, length_bp = len(labels), 300
    chains = np.stack(
        [
            transitions(0.51, {"CG": 1.16, "GC": 1.28, "TA": 0.75, "AA": 1.2, "TT": 1.2}),
            transitions(0.49, {"CG": 1.1, "GC": 1.15, "TA": 0.85, "AA": 1.1, "TT": 1.1}),
        ]
    )
    codes = markov_rows(stream, chains, labels, length_bp)
    _thin_ctag(stream, codes, np.flatnonzero(labels == 0))
    hosts = np.flatnonzero((labels == 0) & (stream.random_sample(count) < 0.5))
    spacer = independent_rows(stream, len(hosts), np.tile(base_probabilities(0.45), (17, 1)))
    sigma = [
        motif_rows(stream, "sigma70 -35", len(hosts), 0.85),
        spacer,
        motif_rows(stream, "sigma70 -10", len(hosts), 0.85),
    ]
    plant(stream, codes, hosts, np.concatenate(sigma, axis=1))
    chi = np.flatnonzero((labels == 0) & (stream.random_sample(count) < 1 / 3))
    plant(stream, codes, chi, motif_rows(stream, "Chi", len(chi), 1.0))
    phages = np.flatnonzero((labels == 1) & (stream.random_sample(count) < 0.5))
    plant(stream, codes, phages, motif_rows(stream, "T7 promoter", len(phages), 0.85))
    return texts(codes)


def _thin_ctag(stream: np.random.RandomState, codes: np.ndarray, rows: np.ndarray) -> None:
    """Turn CTAG into CTGG in these rows, in place."""
    word = np.array([BASES.index(base) for base in "CTAG"], dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(codes[rows], len(word), axis=1)
    row, start = np.nonzero((windows == word).all(axis=-1))
    codes[rows[row], start + 2] = BASES.index("G")
