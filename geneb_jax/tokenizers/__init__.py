"""Text to token ids: k-mers, and whatever other kinds the models need. No JAX here."""

from __future__ import annotations

from geneb_jax.tokenizers.bpe import BpeTokenizer
from geneb_jax.tokenizers.byte_values import ByteTokenizer
from geneb_jax.tokenizers.characters import CharacterTokenizer
from geneb_jax.tokenizers.choice import build_tokenizer
from geneb_jax.tokenizers.dna_gpt import DnaGptTokenizer
from geneb_jax.tokenizers.folder_tokenizer import (
    FolderTokenizer,
    character_tokenizer,
    decoder_tokenizer,
    file_tokenizer,
    vocabulary_tokenizer,
)
from geneb_jax.tokenizers.generator import GeneratorTokenizer, generator_vocabulary
from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import (
    KmerVocabulary,
    built_in_vocabulary,
    vocabulary_for_size,
)
from geneb_jax.tokenizers.library_tokenizer import LibraryTokenizer
from geneb_jax.tokenizers.one_hot import OneHotTokenizer
from geneb_jax.tokenizers.shipped_files import is_shipped, shipped_file
from geneb_jax.tokenizers.tokens import (
    TokenizedBatch,
    TokenizedSequence,
    Tokenizer,
    definition_digest,
    join_tokens,
)

__all__ = [
    "BpeTokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "DnaGptTokenizer",
    "FolderTokenizer",
    "GeneratorTokenizer",
    "KmerTokenizer",
    "KmerVocabulary",
    "LibraryTokenizer",
    "OneHotTokenizer",
    "TokenizedBatch",
    "TokenizedSequence",
    "Tokenizer",
    "build_tokenizer",
    "built_in_vocabulary",
    "character_tokenizer",
    "decoder_tokenizer",
    "definition_digest",
    "file_tokenizer",
    "generator_vocabulary",
    "is_shipped",
    "join_tokens",
    "shipped_file",
    "vocabulary_for_size",
    "vocabulary_tokenizer",
]
