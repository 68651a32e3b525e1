"""Which tokenizer a model has: by kind for a model's TOML, by its files for a checkpoint folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers.bpe import BpeTokenizer
from geneb_jax.tokenizers.byte_values import ByteTokenizer
from geneb_jax.tokenizers.characters import CHARACTER_TABLES, CharacterTokenizer
from geneb_jax.tokenizers.dna_gpt import DnaGptTokenizer
from geneb_jax.tokenizers.generator import GeneratorTokenizer
from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import (
    KmerVocabulary,
    built_in_vocabulary,
    vocabulary_for_size,
)
from geneb_jax.tokenizers.one_hot import OneHotTokenizer
from geneb_jax.tokenizers.tokens import Tokenizer

__all__ = [
    "FolderTokenizer",
    "build_tokenizer",
    "character_tokenizer",
    "decoder_tokenizer",
    "file_tokenizer",
    "vocabulary_tokenizer",
]

#: Larger limits in a tokenizer_config.json stand for none (transformers writes 1e30).
_NO_LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class FolderTokenizer:
    """A tokenizer found for a checkpoint folder, and what had to be assumed, if anything."""

    tokenizer: Tokenizer
    note: str | None = None


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


def vocabulary_tokenizer(folder: Path, *, longest: int | None, rows: int) -> FolderTokenizer:
    """The tokenizer of a checkpoint folder, from ``vocab.txt`` and ``tokenizer_config.json``.

    Args:
        folder: The checkpoint folder.
        longest: Most tokens the architecture can take, or its config declares.
        rows: Rows of the token embedding.

    Raises:
        CheckpointError: if there is none and none can be concluded, or its ids do not fit the rows.
    """
    settings = _tokenizer_config(folder)
    limit = _limit(settings, longest)
    vocabulary_file = folder / "vocab.txt"
    note = None
    if vocabulary_file.is_file():
        lines = vocabulary_file.read_text(encoding="utf-8").splitlines()
        vocabulary = KmerVocabulary(vocabulary_file.name, tuple(line.strip() for line in lines))
        # transformers' EsmTokenizer closes with <eos> unless it is null; v1 has no row for it.
        usable = vocabulary.ids.get("<eos>", rows) < rows
        default_eos = "<eos>" if usable else None
    else:
        found = vocabulary_for_size(rows)
        if found is None:
            raise CheckpointError(
                f"no tokenizer: there is no vocab.txt, and {rows} embedding rows are no published "
                "k-mer vocabulary",
                where=folder,
                hint="save the tokenizer into the folder (tokenizer.save_pretrained)",
            )
        vocabulary = found
        default_eos = None
        note = (
            f"no tokenizer files in {folder}: {rows} embedding rows are the published vocabulary "
            f"{found.name} of {found.k}-mers, which is used (<cls> in front, no <eos>)"
        )
    tokenizer = KmerTokenizer(
        vocabulary,
        max_tokens=limit,
        prefix=_token(settings, "cls_token", "<cls>"),
        suffix=_token(settings, "eos_token", default_eos),
        unknown=_token(settings, "unk_token", "<unk>") or "<unk>",
        padding=_token(settings, "pad_token", "<pad>") or "<pad>",
        rows=rows,
    )
    if tokenizer.largest_id >= rows:
        raise CheckpointError(
            f"the tokenizer gives ids up to {tokenizer.largest_id}, the model has {rows} rows",
            where=folder,
        )
    return FolderTokenizer(tokenizer, note)


def file_tokenizer(
    folder: Path, *, longest: int | None, rows: int, **options: Any
) -> FolderTokenizer:
    """The tokenizer of a checkpoint folder, from ``tokenizer.json`` and ``tokenizer_config.json``.

    Args:
        folder: The checkpoint folder.
        longest: Most tokens the architecture can take, or its config declares.
        rows: Rows of the token embedding.
        **options: What the family knows beyond the files; see :class:`BpeTokenizer`.

    Raises:
        CheckpointError: if there is none, or its ids do not fit the rows.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(
            "no tokenizer: there is no tokenizer.json",
            where=folder,
            hint="save the fast tokenizer into the folder (tokenizer.save_pretrained)",
        )
    limit = _limit(_tokenizer_config(folder), longest)
    return FolderTokenizer(BpeTokenizer(file, max_tokens=limit, rows=rows, **options))


def _limit(settings: Mapping[str, Any], longest: int | None) -> int | None:
    """The smaller of what the tokenizer and the model declare; None where neither does."""
    limits = [settings.get("model_max_length"), longest]
    known = [int(limit) for limit in limits if limit is not None and limit < _NO_LIMIT]
    return min(known) if known else None


def decoder_tokenizer(folder: Path, *, longest: int | None, rows: int) -> FolderTokenizer:
    """The tokenizer of a causal model's folder: GENERator's, BioFM's, or ``tokenizer.json``.

    The first two are published as classes of their own, which tokenizer_config.json names.

    Args:
        folder: The checkpoint folder.
        longest: Most tokens the architecture can take, or its config declares.
        rows: Rows of the token embedding.

    Raises:
        CheckpointError: if there is none, or its ids do not fit the rows.
    """
    settings = _tokenizer_config(folder)
    limit = _limit(settings, longest)
    classes = json.dumps([settings.get("tokenizer_class"), settings.get("auto_map")])
    tokenizer: Tokenizer
    if "DNAKmerTokenizer" in classes:
        tokenizer = GeneratorTokenizer(max_tokens=limit, k=int(settings.get("k", 6)))
    elif settings.get("char_ords") == [ord(letter) for letter in CHARACTER_TABLES["biofm"].letters]:
        tokenizer = CharacterTokenizer("biofm", max_tokens=limit)
    else:
        return file_tokenizer(folder, longest=longest, rows=rows)
    if tokenizer.vocab_size > rows:
        raise CheckpointError(
            f"the tokenizer gives ids up to {tokenizer.vocab_size - 1}, the model has {rows} rows",
            where=folder,
        )
    return FolderTokenizer(tokenizer)


def character_tokenizer(
    folder: Path, *, table: str, rows: int, longest: int | None = None
) -> FolderTokenizer:
    """A character table for a checkpoint folder, with the limit its tokenizer_config.json declares.

    Args:
        folder: The checkpoint folder.
        table: Name in :data:`CHARACTER_TABLES`.
        rows: Rows of the token embedding.
        longest: Most tokens the architecture can take.

    Raises:
        CheckpointError: if an id has no row.
    """
    limit = _limit(_tokenizer_config(folder), longest)
    tokenizer = CharacterTokenizer(table, max_tokens=limit)
    if tokenizer.vocab_size > rows:
        raise CheckpointError(
            f"the tokenizer gives ids up to {tokenizer.vocab_size - 1}, the model has {rows} rows",
            where=folder,
        )
    return FolderTokenizer(tokenizer)


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=path) from error
    return settings if isinstance(settings, dict) else {}


def _token(settings: Mapping[str, Any], key: str, default: str | None) -> str | None:
    """A special token: a text, an object with a text, or null for none."""
    if key not in settings:
        return default
    value = settings[key]
    return value.get("content") if isinstance(value, dict) else value
