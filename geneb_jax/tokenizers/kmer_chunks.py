"""Cut a text into pieces of k letters from its start, and number the pieces: base len(alphabet)."""

from __future__ import annotations

import numpy as np

__all__ = ["chunk_numbers", "count_other_letters", "letter_codes"]

_BASES = np.zeros(256, bool)
_BASES[list(b"ACGT")] = True


def letter_codes(alphabet: str) -> np.ndarray:
    """Byte to position in the alphabet, int64 ``[256]``; -1 for every other byte."""
    table = np.full(256, -1, np.int64)
    table[list(alphabet.encode("ascii"))] = np.arange(len(alphabet))
    return table


def chunk_numbers(text: str, k: int, codes: np.ndarray) -> np.ndarray:
    """Numbers of the pieces of ``k`` letters, int64 ``[len(text) // k]``.

    The first letter weighs most. A piece with a letter outside the alphabet is -1.

    Args:
        text: The text; letters that would make a last, shorter piece are left out.
        k: Letters of a piece.
        codes: From :func:`letter_codes`.
    """
    letters = codes[np.frombuffer(text.encode("ascii", "replace"), np.uint8)]
    pieces = letters[: len(text) // k * k].reshape(-1, k)
    base = int(codes.max()) + 1
    numbers = pieces @ base ** np.arange(k - 1, -1, -1)
    return np.where((pieces < 0).any(axis=1), -1, numbers)


def count_other_letters(text: str) -> int:
    """Letters other than A, C, G and T, lower case included."""
    return int(np.count_nonzero(~_BASES[np.frombuffer(text.encode("ascii", "replace"), np.uint8)]))
