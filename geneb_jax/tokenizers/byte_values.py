"""One token a byte, its value the id: Evo."""

from __future__ import annotations

import numpy as np

from geneb_jax.tokenizers.kmer_chunks import count_other_letters
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["ByteTokenizer"]


class ByteTokenizer(Tokenizer):
    """Bytes of the text in UTF-8; no special tokens, letters as they are written.

    Args:
        max_tokens: Longest output; None for no limit.
    """

    pad_id = 1  # the published tokenizer's; its end of text is 0
    vocab_size = 256

    def __init__(self, *, max_tokens: int | None) -> None:
        self.max_tokens = max_tokens
        self._digest = definition_digest({"kind": "bytes", "max_tokens": max_tokens})

    @property
    def digest(self) -> str:
        """SHA-256 over the kind and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Bytes of one sequence, truncated on the right."""
        letters = np.frombuffer(sequence.encode("utf-8"), np.uint8)
        kept = len(letters) if self.max_tokens is None else self.max_tokens
        return TokenizedSequence(
            ids=letters[:kept].astype(np.int32),
            dropped_bp=max(0, len(letters) - kept),
            unknown_bp=count_other_letters(sequence),
        )
