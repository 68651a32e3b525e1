"""Draw DNA as arrays of base codes (0 A, 1 C, 2 G, 3 T), whole tables of rows at a time.

Only ``RandomState.random_sample`` is drawn from: NumPy froze that stream (NEP 19), so the same seed
gives the same bases with every NumPy on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "BASES",
    "base_probabilities",
    "complement_rows",
    "independent_rows",
    "insert",
    "markov_rows",
    "order_of",
    "texts",
    "transitions",
    "whole_numbers",
]

BASES = "ACGT"
_LETTERS = np.frombuffer(BASES.encode("ascii"), dtype=np.uint8)


def texts(codes: np.ndarray) -> list[str]:
    """Letters of base codes ``[row, base]``, one text a row."""
    return [line.tobytes().decode("ascii") for line in _LETTERS[codes]]


def whole_numbers(stream: np.random.RandomState, count: int, low: int, high: int) -> np.ndarray:
    """``count`` whole numbers from ``low`` to ``high - 1``, each as likely."""
    return low + (stream.random_sample(count) * (high - low)).astype(np.int64)


def order_of(stream: np.random.RandomState, count: int) -> np.ndarray:
    """A random order of ``count`` things."""
    return np.argsort(stream.random_sample(count), kind="stable")


def base_probabilities(gc: float) -> np.ndarray:
    """Probabilities of A, C, G, T at a GC content, the two strands alike."""
    return np.array([(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])


def independent_rows(
    stream: np.random.RandomState, rows: int, probabilities: np.ndarray
) -> np.ndarray:
    """Rows of bases that do not depend on each other.

    Args:
        stream: Source of random numbers.
        rows: Number of rows.
        probabilities: ``[base, 4]`` for all rows, or ``[row, base, 4]``.

    Returns:
        uint8 codes ``[row, base]``.
    """
    limits = np.cumsum(probabilities, axis=-1)[..., :3]
    drawn = stream.random_sample((rows, probabilities.shape[-2]))
    return (drawn[..., None] >= limits).sum(axis=-1).astype(np.uint8)


def transitions(gc: float, odds: dict[str, float]) -> np.ndarray:
    """First-order chain of a given GC content, with over- and under-represented dinucleotides.

    The named dinucleotides get their frequency, observed over expected times that of their bases;
    the others are scaled by rows and columns in turn until both margins are the base frequencies.

    Args:
        gc: GC content of the chain.
        odds: Observed over expected frequency of dinucleotides such as ``{"CG": 0.2}``.

    Returns:
        ``[from, to]``, each row summing to 1.

    Raises:
        ValueError: if no chain has these odds at this GC content.
    """
    bases = base_probabilities(gc)
    expected = np.outer(bases, bases)
    fixed = np.zeros((4, 4))
    for pair, ratio in odds.items():
        place = BASES.index(pair[0]), BASES.index(pair[1])
        fixed[place] = ratio * expected[place]
    free = np.where(fixed > 0, 0, expected)
    rows, columns = bases - fixed.sum(axis=1), bases - fixed.sum(axis=0)
    if (rows <= 0).any() or (columns <= 0).any():
        raise ValueError(f"no chain of GC content {gc} has the odds {odds}")
    for _ in range(200):
        free *= (rows / free.sum(axis=1))[:, None]
        free *= columns / free.sum(axis=0)
    pairs = fixed + free
    return pairs / pairs.sum(axis=1, keepdims=True)


def markov_rows(
    stream: np.random.RandomState, chains: np.ndarray, kinds: np.ndarray, length_bp: int
) -> np.ndarray:
    """Rows of first-order Markov chains.

    Args:
        stream: Source of random numbers.
        chains: ``[kind, from, to]``.
        kinds: Which chain each row follows, ``[row]``.
        length_bp: Bases a row.

    Returns:
        uint8 codes ``[row, base]``, started uniformly and read after 20 bases.
    """
    limits = np.cumsum(chains, axis=-1)[..., :3]
    lead_bp = 20
    drawn = stream.random_sample((length_bp + lead_bp, len(kinds)))
    state = (drawn[0] * 4).astype(np.int64)
    codes = np.empty((length_bp + lead_bp, len(kinds)), dtype=np.uint8)
    for position in range(length_bp + lead_bp):
        codes[position] = state
        state = (drawn[position][:, None] >= limits[kinds, state]).sum(axis=-1)
    return np.ascontiguousarray(codes[lead_bp:].T)


def complement_rows(codes: np.ndarray) -> np.ndarray:
    """The opposite strands, read 5' to 3'."""
    return np.ascontiguousarray(3 - codes[:, ::-1])


def insert(
    codes: np.ndarray, rows: np.ndarray | Sequence[int], pieces: np.ndarray, starts: np.ndarray
) -> None:
    """Overwrite bases in place: ``pieces[i]`` goes into row ``rows[i]`` from ``starts[i]`` on."""
    columns = np.asarray(starts)[:, None] + np.arange(pieces.shape[1])
    codes[np.asarray(rows)[:, None], columns] = pieces
