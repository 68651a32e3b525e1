"""DNA-GPT's tokens: pieces of 6 letters over N, A, G, C, T behind the species token ``<R>``.

34 reserved tokens come first. The static vocabulary goes on with the 6-mers alone, so a shorter
last piece is unknown; the dynamic one holds all lengths from 1 to 6. Unknown pieces are token 0.
"""

from __future__ import annotations

import re

import numpy as np

from geneb_jax.errors import ConfigError
from geneb_jax.tokenizers.kmer_chunks import chunk_numbers, count_other_letters, letter_codes
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["DnaGptTokenizer"]

_RESERVED = tuple(f"<{name}>" for name in "0123456789+-*/=&|!MBPRIKLOQSUVWYXZ")
_ALPHABET = "NAGCT"
_CODES = letter_codes(_ALPHABET)
_UNKNOWN = 0


class DnaGptTokenizer(Tokenizer):
    """DNA-GPT's tokenizer.

    Args:
        max_tokens: Longest output, the prefix included; None for no limit.
        k: Letters of a piece.
        dynamic: Whether shorter pieces have tokens of their own.
        prefix: Reserved token put in front of every sequence.

    Raises:
        ConfigError: if the prefix is not a reserved token or has no room.
    """

    pad_id = _RESERVED.index("<P>")

    def __init__(
        self, *, max_tokens: int | None, k: int = 6, dynamic: bool, prefix: str = "<R>"
    ) -> None:
        if prefix not in _RESERVED:
            raise ConfigError(f"{prefix!r} is not a reserved token of DNA-GPT")
        if max_tokens is not None and max_tokens < 1:
            raise ConfigError(f"a limit of {max_tokens} tokens leaves no room for {prefix}")
        self.k = k
        self.max_tokens = max_tokens
        self._prefix = _RESERVED.index(prefix)
        lengths = range(1 if dynamic else k, k + 1)
        counts = [len(_ALPHABET) ** length for length in lengths]
        firsts = len(_RESERVED) + np.cumsum([0, *counts])
        #: First id of the pieces of each length that has tokens.
        self._first = dict(zip(lengths, firsts[:-1].tolist(), strict=True))
        self.vocab_size = int(firsts[-1])
        self._digest = definition_digest(
            {
                "kind": "dna-gpt-kmer",
                "k": k,
                "dynamic": dynamic,
                "reserved": _RESERVED,
                "prefix": prefix,
                "max_tokens": max_tokens,
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 over reserved tokens, k, prefix and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, the prefix included, truncated on the right."""
        # The original splits at angle brackets, so that reserved tokens can be written in the text.
        ids, starts = [], []
        for match in re.finditer("[^<>]+", sequence):
            piece = match.group()
            if f"<{piece}>" in _RESERVED:
                ids.append(np.array([_RESERVED.index(f"<{piece}>")]))
            else:
                ids.append(self._pieces(piece))
            starts.append(match.start() + self.k * np.arange(len(ids[-1])))
        joined = np.concatenate([[self._prefix], *ids])
        dropped_bp = 0
        if self.max_tokens is not None and len(joined) > self.max_tokens:
            dropped_bp = len(sequence) - int(np.concatenate(starts)[self.max_tokens - 1])
            joined = joined[: self.max_tokens]
        return TokenizedSequence(
            ids=joined.astype(np.int32),
            dropped_bp=dropped_bp,
            unknown_bp=count_other_letters(sequence),
        )

    def _pieces(self, text: str) -> np.ndarray:
        whole = len(text) // self.k * self.k
        parts = [self._numbered(text[:whole], self.k)]
        if whole < len(text):
            parts.append(self._numbered(text[whole:], len(text) - whole))
        return np.concatenate(parts)

    def _numbered(self, text: str, length: int) -> np.ndarray:
        numbers = chunk_numbers(text, length, _CODES)
        if length not in self._first:
            return np.full(len(numbers), _UNKNOWN)
        return np.where(numbers < 0, _UNKNOWN, numbers + self._first[length])
