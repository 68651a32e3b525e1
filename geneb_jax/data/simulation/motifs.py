"""Binding motifs as position weight matrices, written as consensus words with a purity.

The words are the published consensus sequences; the matrix gives the letters that a word allows the
probability ``purity`` together, in equal parts, and the others the rest.
"""

from __future__ import annotations

import numpy as np

from geneb_jax.data.simulation.bases import (
    BASES,
    complement_rows,
    independent_rows,
    insert,
    whole_numbers,
)

__all__ = ["MOTIFS", "motif_rows", "plant", "weights"]

_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T",
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip

#: Consensus words and where they are from.
MOTIFS = {
    "TATA box": "TATAWAAR",  # Bucher 1990, J Mol Biol 212:563
    "initiator": "YYANWYY",  # Javahery et al. 1994, Mol Cell Biol 14:116
    "GC box": "GGGGCGGGG",  # Sp1; Bucher 1990
    "CCAAT box": "RRCCAATSR",  # NF-Y; Bucher 1990
    "AP-1": "TGASTCA",  # Angel et al. 1987, Cell 49:729
    "GATA": "WGATAR",  # Ko and Engel 1993, Mol Cell Biol 13:4011
    "E-box": "CAGCTG",  # Murre et al. 1989, Cell 56:777
    "ETS": "ACCGGAAGT",  # Wei et al. 2010, EMBO J 29:2147
    "CTCF": "CCGCGNGGNGGCAG",  # Kim et al. 2007, Cell 128:1231
    "SOX2": "CATTGTY",  # Loh et al. 2006, Nat Genet 38:431
    "OCT4": "ATGCAAAT",  # Loh et al. 2006
    "donor": "MAGGTRAGT",  # Shapiro and Senapathy 1987, Nucleic Acids Res 15:7155
    "branch point": "YNYTRAY",  # Reed and Maniatis 1985, Cell 41:95
    "T7 promoter": "TAATACGACTCACTATAGGGAGA",  # Dunn and Studier 1983, J Mol Biol 166:477
    "sigma70 -35": "TTGACA",  # Hawley and McClure 1983, Nucleic Acids Res 11:2237
    "sigma70 -10": "TATAAT",  # Hawley and McClure 1983
    "Chi": "GCTGGTGG",  # Smith 1981, Cell 24:429
}


def weights(word: str, purity: float) -> np.ndarray:
    """Position weight matrix ``[position, 4]`` of an IUPAC word."""
    matrix = np.empty((len(word), 4))
    for row, letter in zip(matrix, word, strict=True):
        allowed = np.array([base in _IUPAC[letter] for base in BASES])
        count = allowed.sum()
        row[:] = (
            0.25 if count == 4 else np.where(allowed, purity / count, (1 - purity) / (4 - count))
        )
    return matrix


def motif_rows(
    stream: np.random.RandomState, name: str, rows: int, purity: float, *, scrambled: bool = False
) -> np.ndarray:
    """Instances of a motif, ``[row, position]``.

    Args:
        stream: Source of random numbers.
        name: Key of :data:`MOTIFS`.
        rows: Number of instances.
        purity: Probability of an allowed letter at each position.
        scrambled: Put the positions of each instance in a random order of its own: the same letters
            without the word.
    """
    pieces = independent_rows(stream, rows, weights(MOTIFS[name], purity))
    if scrambled:
        order = np.argsort(stream.random_sample(pieces.shape), axis=1, kind="stable")
        pieces = np.take_along_axis(pieces, order, axis=1)
    return pieces


def plant(
    stream: np.random.RandomState,
    codes: np.ndarray,
    rows: np.ndarray,
    pieces: np.ndarray,
    *,
    both_strands: bool = True,
) -> None:
    """Put one instance a row at a random place in it, on a random strand."""
    if both_strands:
        flipped = stream.random_sample(len(pieces)) < 0.5
        pieces = np.where(flipped[:, None], complement_rows(pieces), pieces)
    last = codes.shape[1] - pieces.shape[1]
    insert(codes, rows, pieces, whole_numbers(stream, len(rows), 0, last + 1))
