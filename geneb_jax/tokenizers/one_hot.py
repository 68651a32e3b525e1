"""Bases as channels of a one-hot input of fixed length: Enformer and SPACE."""

from __future__ import annotations

from typing import Literal

import numpy as np

from geneb_jax.errors import ConfigError
from geneb_jax.tokenizers.kmer_chunks import count_other_letters
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["OneHotTokenizer"]

_OTHER = 4


class OneHotTokenizer(Tokenizer):
    """Letters to channels: A 0, C 1, G 2, T 3, every other letter 4, which has no channel.

    Lower case counts as upper case. What a network has around a shorter sequence is no token: the
    family knows where in its input the sequence stands.

    Args:
        max_tokens: Bases of the network's input.
        crop: What is kept of longer sequences: their ``start`` or their ``centre``.
        u_is_t: Whether U is read as T; otherwise it is another letter.

    Raises:
        ConfigError: without a length, or for an unknown crop.
    """

    pad_id = _OTHER
    vocab_size = 5

    def __init__(
        self,
        *,
        max_tokens: int | None,
        crop: Literal["start", "centre"] = "start",
        u_is_t: bool = False,
    ) -> None:
        if max_tokens is None or max_tokens < 1:
            raise ConfigError("a one-hot input needs its length in bp as the limit")
        if crop not in ("start", "centre"):
            raise ConfigError(f"unknown crop {crop!r}", hint="known are start and centre")
        self.max_tokens: int = max_tokens
        self._crop = crop
        self._letters = "ACGTU" if u_is_t else "ACGT"
        self._ids = np.full(256, _OTHER, np.int32)
        for letter in self._letters:
            channel = "ACGT".index("T" if letter == "U" else letter)
            self._ids[[ord(letter), ord(letter.lower())]] = channel
        self._digest = definition_digest(
            {
                "kind": "one-hot",
                "ids": self._ids.tolist(),
                "crop": crop,
                "max_tokens": max_tokens,
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the table, crop and length."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Channels of one sequence, cropped to the network's input."""
        letters = np.frombuffer(sequence.encode("ascii", "replace"), np.uint8)
        dropped = max(0, len(letters) - self.max_tokens)
        first = dropped // 2 if self._crop == "centre" else 0
        return TokenizedSequence(
            ids=self._ids[letters[first : first + self.max_tokens]],
            dropped_bp=dropped,
            unknown_bp=count_other_letters(sequence.upper()),
        )
