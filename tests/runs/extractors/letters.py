"""What the extractors share: letters as numbers, and a random projection of letter contexts."""

import numpy as np

CODES = {letter: number for number, letter in enumerate("ACGTN")}
TABLE = np.random.RandomState(0).standard_normal((5 * 5 * 5, 24))


def encode(text):
    """Codes of triplets, int ``[length - 2]``."""
    codes = np.array([CODES.get(letter, 4) for letter in text.upper()])
    return codes[:-2] * 25 + codes[1:-1] * 5 + codes[2:]


def tokens(text):
    """float64 ``[token, 24]``."""
    return TABLE[encode(text)]
