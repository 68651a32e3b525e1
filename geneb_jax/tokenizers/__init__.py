"""Text to token ids: k-mers, and whatever other kinds the models need. No JAX here."""

from __future__ import annotations

from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import (
    KmerVocabulary,
    built_in_vocabulary,
    vocabulary_for_size,
)
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = [
    "KmerTokenizer",
    "KmerVocabulary",
    "TokenizedSequence",
    "Tokenizer",
    "built_in_vocabulary",
    "definition_digest",
    "vocabulary_for_size",
]
