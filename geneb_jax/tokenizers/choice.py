"""Which tokenizer a registered model has: by the kind that its TOML names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geneb_jax.errors import ConfigError
from geneb_jax.tokenizers.bpe import BpeTokenizer
from geneb_jax.tokenizers.byte_values import ByteTokenizer
from geneb_jax.tokenizers.characters import CharacterTokenizer
from geneb_jax.tokenizers.dna_gpt import DnaGptTokenizer
from geneb_jax.tokenizers.generator import GeneratorTokenizer
from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import built_in_vocabulary
from geneb_jax.tokenizers.one_hot import OneHotTokenizer
from geneb_jax.tokenizers.tokens import Tokenizer

__all__ = ["build_tokenizer"]


def build_tokenizer(
    kind: str,
    options: Mapping[str, Any],
    *,
    limit: int | None,
    rows: int,
    find_file: Callable[[str], Path],
) -> Tokenizer:
    """The tokenizer of a registered model.

    Args:
        kind: ``[tokenizer] kind`` of its TOML.
        options: ``[tokenizer.options]``.
        limit: Longest output in tokens.
        rows: Rows of the model's token embedding.
        find_file: Gives the path of a tokenizer file by its published name; downloads it if needed.

    Raises:
        ConfigError: for an unknown kind or options.
    """
    if kind not in _KINDS:
        raise ConfigError(
            f"unknown tokenizer kind {kind!r}", hint=f"known are {', '.join(sorted(_KINDS))}"
        )
    try:
        return _KINDS[kind](limit=limit, rows=rows, find_file=find_file, **options)
    except TypeError as error:
        raise ConfigError(f"options of the tokenizer kind {kind!r}: {error}") from error


def _greedy_kmer(
    *,
    limit: int | None,
    rows: int,
    find_file: Callable[[str], Path],
    vocabulary: str,
    k: int = 6,
    cls_token: str | None = None,
) -> Tokenizer:
    """K-mers of a published vocabulary; needs no file."""
    return KmerTokenizer(
        built_in_vocabulary(vocabulary, k=k), max_tokens=limit, prefix=cls_token, rows=rows
    )


def _bpe(
    *,
    limit: int | None,
    rows: int,
    find_file: Callable[[str], Path],
    file: str = "tokenizer.json",
    **options: Any,
) -> Tokenizer:
    """A published tokenizer.json; see :class:`BpeTokenizer` for the options."""
    return BpeTokenizer(find_file(file), max_tokens=limit, rows=rows, **options)


def _by_rule(make: Callable[..., Tokenizer]) -> Callable[..., Tokenizer]:
    """A tokenizer that needs no file; its ids must have rows."""

    def build(
        *, limit: int | None, rows: int, find_file: Callable[[str], Path], **options: Any
    ) -> Tokenizer:
        tokenizer = make(max_tokens=limit, **options)
        if tokenizer.vocab_size > rows:
            largest = tokenizer.vocab_size - 1
            raise ConfigError(f"the tokenizer gives ids up to {largest}, the model has {rows} rows")
        return tokenizer

    return build


_KINDS: dict[str, Callable[..., Tokenizer]] = {
    "greedy-kmer": _greedy_kmer,
    "bpe": _bpe,
    "generator-kmer": _by_rule(GeneratorTokenizer),
    "dna-gpt-kmer": _by_rule(DnaGptTokenizer),
    "bytes": _by_rule(ByteTokenizer),
    "characters": _by_rule(CharacterTokenizer),
    "one-hot": _by_rule(OneHotTokenizer),
}
