"""Text to token ids: k-mers, and whatever other kinds the models need. No JAX here."""

from __future__ import annotations

from geneb_jax.tokenizers.bpe import BpeTokenizer
from geneb_jax.tokenizers.choice import FolderTokenizer, build_tokenizer, folder_tokenizer
from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import (
    KmerVocabulary,
    built_in_vocabulary,
    vocabulary_for_size,
)
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = [
    "BpeTokenizer",
    "FolderTokenizer",
    "KmerTokenizer",
    "KmerVocabulary",
    "TokenizedSequence",
    "Tokenizer",
    "build_tokenizer",
    "built_in_vocabulary",
    "definition_digest",
    "folder_tokenizer",
    "vocabulary_for_size",
]
