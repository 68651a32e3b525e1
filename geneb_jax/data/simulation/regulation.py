"""Simulated regulatory DNA: promoters, enhancers, binding sites, CpG islands, open chromatin.

Each builder takes a random stream and the labels, and returns one text a label.
"""

from __future__ import annotations

import numpy as np

from geneb_jax.data.simulation.bases import (
    base_probabilities,
    independent_rows,
    insert,
    markov_rows,
    texts,
    transitions,
    whole_numbers,
)
from geneb_jax.data.simulation.motifs import motif_rows, plant

__all__ = [
    "composite_sites",
    "cpg_islands",
    "ctcf_sites",
    "open_chromatin",
    "site_clusters",
    "tata_promoters",
]


def _background(stream: np.random.RandomState, rows: int, length_bp: int, gc: float) -> np.ndarray:
    return independent_rows(stream, rows, np.tile(base_probabilities(gc), (rows, length_bp, 1)))


def tata_promoters(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Core promoters (1) against the same letters without the words (0); 100 bp, -60 to +40.

    Both classes have GC content 0.5 and pieces at the same places: a TATA box that starts at -32 to
    -30, an initiator at -2 to +5, in half of the rows a GC box upstream. In class 0 the letters of
    each piece are scrambled.
    """
    codes = _background(stream, len(labels), 100, 0.5)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        scrambled = label == 0
        tata = motif_rows(stream, "TATA box", len(rows), 0.92, scrambled=scrambled)
        insert(codes, rows, tata, whole_numbers(stream, len(rows), 28, 31))
        start = motif_rows(stream, "initiator", len(rows), 0.9, scrambled=scrambled)
        insert(codes, rows, start, np.full(len(rows), 58))
        boxed = rows[stream.random_sample(len(rows)) < 0.5]
        box = motif_rows(stream, "GC box", len(boxed), 0.9, scrambled=scrambled)
        insert(codes, boxed, box, whole_numbers(stream, len(boxed), 2, 18))
    return texts(codes)


def site_clusters(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Enhancers by number of binding sites: none (0), two (1) or six (2) in 200 bp.

    Sites of AP-1, GATA, E-box and ETS factors on either strand; every row has six pieces at random
    places, of which those that are not sites are scrambled sites.
    """
    codes = _background(stream, len(labels), 200, 0.46)
    sites = np.array([0, 2, 6])[labels]
    names = ("AP-1", "GATA", "E-box", "ETS")
    rows = np.arange(len(labels))
    for piece in range(6):
        factor = whole_numbers(stream, len(labels), 0, len(names))
        for which, name in enumerate(names):
            for real in (False, True):
                chosen = rows[(factor == which) & ((piece < sites) == real)]
                pieces = motif_rows(stream, name, len(chosen), 0.95, scrambled=not real)
                plant(stream, codes, chosen, pieces)
    return texts(codes)


def composite_sites(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """SOX2 and OCT4 sites joined into one element (1) or apart (0); 80 bp.

    Both classes have one site of each factor, at the same quality; only the joint between them, and
    with it the order of words longer than a site, tells the classes apart.
    """
    codes = _background(stream, len(labels), 80, 0.42)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        first = motif_rows(stream, "SOX2", len(rows), 0.95)
        second = motif_rows(stream, "OCT4", len(rows), 0.95)
        if label == 1:
            joined = np.concatenate([first, second], axis=1)
            plant(stream, codes, rows, joined, both_strands=False)
        else:
            insert(codes, rows, second, whole_numbers(stream, len(rows), 5, 25))
            insert(codes, rows, first, whole_numbers(stream, len(rows), 45, 70))
    return texts(codes)


def ctcf_sites(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """A CTCF core motif on either strand (1) or its letters scrambled (0); 100 bp.

    One instance of 14 bases a row, anywhere in a background of GC content 0.5.
    """
    codes = _background(stream, len(labels), 100, 0.5)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        pieces = motif_rows(stream, "CTCF", len(rows), 0.95, scrambled=label == 0)
        plant(stream, codes, rows, pieces)
    return texts(codes)


def cpg_islands(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """CpG islands (1) against equally GC-rich, CpG-depleted DNA (0); 180 to 260 bp.

    Islands keep their CpG (observed over expected 0.75; above 0.6 by the definition of
    Gardiner-Garden and Frommer 1987, J Mol Biol 196:261), the rest has lost it to methylation and
    deamination (0.25, with TG and CA in its place). An island covers the middle 120 bases of its
    row, and its flanks are depleted DNA, so that the words are diluted.
    """
    island = transitions(0.6, {"CG": 0.75})
    depleted = transitions(0.6, {"CG": 0.25, "TG": 1.2, "CA": 1.2})
    longest_bp = 260
    codes = markov_rows(
        stream, np.stack([depleted, island]), np.zeros(len(labels), dtype=np.int64), longest_bp
    )
    middles = markov_rows(stream, np.stack([depleted, island]), np.asarray(labels), 120)
    lengths = whole_numbers(stream, len(labels), 180, longest_bp + 1)
    insert(codes, np.arange(len(labels)), middles, (lengths - 120) // 2)
    return [text[:length] for text, length in zip(texts(codes), lengths, strict=True)]


def open_chromatin(stream: np.random.RandomState, labels: np.ndarray) -> list[str]:
    """Accessible DNA (1) against closed (0); 150 to 400 bp.

    Accessible rows have GC content 0.48 with a spread of 0.05 and, each with probability 0.6, sites
    of NF-Y (CCAAT box), Sp1 (GC box), AP-1 and CTCF; closed rows have GC 0.44 with the same spread
    and scrambled sites.
    """
    count = len(labels)
    longest_bp = 400
    centre = np.where(np.asarray(labels) == 1, 0.48, 0.44)
    gc = centre + 0.05 * (stream.random_sample((count, 4)).sum(axis=1) - 2) * np.sqrt(3)
    odds = np.stack([(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2], axis=1)
    codes = independent_rows(stream, count, np.repeat(odds[:, None, :], longest_bp, axis=1))
    lengths = whole_numbers(stream, count, 150, longest_bp + 1)
    for name in ("CCAAT box", "GC box", "AP-1", "CTCF"):
        for label in (0, 1):
            rows = np.flatnonzero(
                (np.asarray(labels) == label) & (stream.random_sample(count) < 0.6)
            )
            pieces = motif_rows(stream, name, len(rows), 0.95, scrambled=label == 0)
            starts = (stream.random_sample(len(rows)) * (lengths[rows] - 20)).astype(np.int64)
            insert(codes, rows, pieces, starts)
    return [text[:length] for text, length in zip(texts(codes), lengths, strict=True)]
