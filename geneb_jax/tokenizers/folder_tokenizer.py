"""The tokenizer of a checkpoint folder, from the files that are in it.

The files give what AutoTokenizer gives (transformers 5.24), or are refused by name. Only where
there is none at all is the vocabulary concluded from the number of embedding rows, which is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.errors import CheckpointError
from geneb_jax.tokenizers.characters import CHARACTER_TABLES, CharacterTokenizer
from geneb_jax.tokenizers.esm_rules import esm_tokenizer
from geneb_jax.tokenizers.folder_files import FolderFiles
from geneb_jax.tokenizers.folder_library import (
    TokenizerJson,
    build_library,
    guarded,
    read_tokenizer_json,
)
from geneb_jax.tokenizers.folder_settings import FolderSettings, read_settings, token_limit
from geneb_jax.tokenizers.generator import GeneratorTokenizer
from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import vocabulary_for_size
from geneb_jax.tokenizers.library_tokenizer import LibraryTokenizer, library_digest
from geneb_jax.tokenizers.tokenizer_class import choose_class
from geneb_jax.tokenizers.tokens import Tokenizer

__all__ = [
    "FolderTokenizer",
    "character_tokenizer",
    "decoder_tokenizer",
    "file_tokenizer",
    "vocabulary_tokenizer",
]

_ESM: Mapping[str, Any] = {"model_type": "esm"}
_NO_CONFIG: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class FolderTokenizer:
    """A tokenizer found for a checkpoint folder.

    Attributes:
        tokenizer: The tokenizer.
        notes: What had to be assumed, and what of the files counts otherwise than it is written.
    """

    tokenizer: Tokenizer
    notes: tuple[str, ...] = ()


def vocabulary_tokenizer(
    folder: Path, *, longest: int | None, rows: int, config: Mapping[str, Any] = _ESM
) -> FolderTokenizer:
    """The tokenizer of an ESM folder; without any file of one, a published vocabulary of its size.

    Args:
        folder: The checkpoint folder.
        longest: Most tokens the architecture can take, or its config declares.
        rows: Rows of the token embedding.
        config: The content of config.json.

    Raises:
        CheckpointError: if there is none and none can be concluded, its files cannot be used, or
            its ids do not fit the rows.
    """
    files = FolderFiles(folder)
    names = ("vocab.txt", "tokenizer.json", "vocab.json")
    if any(files.path(name).exists() or files.path(name).is_symlink() for name in names):
        return file_tokenizer(folder, longest=longest, rows=rows, config=config)
    settings = read_settings(files, None)
    limit, note = token_limit(settings, longest)
    found = vocabulary_for_size(rows)
    if found is None:
        raise CheckpointError(
            f"no tokenizer: there is no vocab.txt and no tokenizer.json, and {rows} embedding rows "
            "are no published k-mer vocabulary",
            where=folder,
            hint="save the tokenizer into the folder (tokenizer.save_pretrained)",
        )
    named = settings.special_tokens({"cls_token": "<cls>"})
    ends = [str(named[key]) if key in named else None for key in ("cls_token", "eos_token")]
    tokenizer = KmerTokenizer(
        found,
        max_tokens=limit,
        prefix=ends[0],
        suffix=ends[1],
        rows=rows,
        side=settings.side(None),
    )
    _require_rows(tokenizer.largest_id, rows, folder)
    assumed = (
        f"no tokenizer files in {folder}: {rows} embedding rows are the published vocabulary "
        f"{found.name} of {found.k}-mers, which is used ({ends[0] or 'nothing'} in front, "
        f"{ends[1] or 'nothing'} behind)"
    )
    return FolderTokenizer(tokenizer, (assumed, *([note] if note else [])))


def file_tokenizer(
    folder: Path,
    *,
    longest: int | None,
    rows: int,
    config: Mapping[str, Any] = _NO_CONFIG,
    special_tokens: bool = True,
) -> FolderTokenizer:
    """The tokenizer of a checkpoint folder, from its files, as AutoTokenizer gives it.

    Args:
        folder: The checkpoint folder.
        longest: Most tokens the architecture can take, or its config declares.
        rows: Rows of the token embedding.
        config: The content of config.json, whose ``model_type`` and ``tokenizer_class`` may decide
            the tokenizer's class; empty for models that transformers does not know.
        special_tokens: Whether the tokenizer's own template of special tokens is applied.

    Raises:
        CheckpointError: if there is none, its files cannot be used or contradict each other, or its
            ids do not fit the rows.
    """
    files = FolderFiles(folder)
    found = read_tokenizer_json(files)
    settings = read_settings(files, None if found is None else found.content)
    _refuse_versions(settings)
    choice = choose_class(
        settings.values,
        config,
        where=settings.where,
        byte_level=found is not None and found.byte_level,
    )
    limit, mended = token_limit(settings, longest)
    notes = [mended] if mended else []
    name = choice.name
    if name == "EsmTokenizer":
        vocabulary = files.text("vocab.txt")
        if vocabulary is not None:
            esm, esm_notes = esm_tokenizer(
                vocabulary, settings, limit=limit, rows=rows, special_tokens=special_tokens
            )
            _require_rows(esm.largest_id, rows, folder)
            return FolderTokenizer(esm, (*notes, *esm_notes))
        if found is None or choice.source == "tokenizer_config.json":
            raise CheckpointError(
                "no tokenizer: there is no vocab.txt, which EsmTokenizer reads",
                where=folder,
                cause="tokenizer.json is not read by this class" if found else None,
                hint="save the tokenizer into the folder (tokenizer.save_pretrained), or name "
                "another tokenizer_class",
            )
        name = "TokenizersBackend"
        notes.append(
            f"no tokenizer_class and no vocab.txt in {folder}: tokenizer.json is read as it is"
        )
    tokenizer, more = _of_library(name, files, settings, found, limit, rows, special_tokens)
    return FolderTokenizer(tokenizer, (*notes, *more))


def _of_library(
    name: str,
    files: FolderFiles,
    settings: FolderSettings,
    found: TokenizerJson | None,
    limit: int | None,
    rows: int,
    special_tokens: bool,
) -> tuple[Tokenizer, tuple[str, ...]]:
    built = build_library(name, files, settings, found)
    library = built.library
    where = files.path("tokenizer.json") if found else files.folder
    tokenizer = guarded(
        lambda: LibraryTokenizer(
            library,
            where=where,
            source={
                "kind": "tokenizers",
                "library": library_digest(library),
                "splits_specials": library.encode_special_tokens,
            },
            max_tokens=limit,
            rows=rows,
            special_tokens=special_tokens,
            padding=built.pad,
            side=built.side,
        ),
        where=where,
        what="cannot be used",
    )
    return tokenizer, built.notes


def decoder_tokenizer(
    folder: Path, *, longest: int | None, rows: int, config: Mapping[str, Any] = _NO_CONFIG
) -> FolderTokenizer:
    """The tokenizer of a causal model's folder: GENERator's, BioFM's, or what its files give.

    The first two are published as classes of their own, which tokenizer_config.json names.

    Args:
        folder: The checkpoint folder.
        longest: Most tokens the architecture can take, or its config declares.
        rows: Rows of the token embedding.
        config: The content of config.json.

    Raises:
        CheckpointError: if there is none, or its ids do not fit the rows.
    """
    settings = read_settings(FolderFiles(folder), None)
    own = [settings.values.get("tokenizer_class"), settings.values.get("auto_map")]
    classes = json.dumps(own, default=str)
    letters = [ord(letter) for letter in CHARACTER_TABLES["biofm"].letters]
    tokenizer: Tokenizer
    if "DNAKmerTokenizer" in classes:
        limit, note = _rule_limit(settings, longest)
        k = settings.values.get("k", 6)
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _LONGEST_KMER:
            raise CheckpointError(
                f"k is {k!r:.60}, expected 1 to {_LONGEST_KMER}", where=settings.where
            )
        tokenizer = GeneratorTokenizer(max_tokens=limit, k=k)
    elif settings.values.get("char_ords") == letters:
        limit, note = _rule_limit(settings, longest)
        tokenizer = CharacterTokenizer("biofm", max_tokens=limit)
    else:
        return file_tokenizer(folder, longest=longest, rows=rows, config=config)
    _require_rows(tokenizer.vocab_size - 1, rows, folder)
    return FolderTokenizer(tokenizer, (note,) if note else ())


#: 4**12 tokens: no embedding has more rows.
_LONGEST_KMER = 12


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
        CheckpointError: if an id has no row, or the files ask for what the table does not do.
    """
    settings = read_settings(FolderFiles(folder), None)
    limit, note = _rule_limit(settings, longest)
    tokenizer = CharacterTokenizer(table, max_tokens=limit)
    _require_rows(tokenizer.vocab_size - 1, rows, folder)
    return FolderTokenizer(tokenizer, (note,) if note else ())


def _rule_limit(settings: FolderSettings, longest: int | None) -> tuple[int | None, str | None]:
    """The limit of a tokenizer that is a rule, whose files may not ask for another side.

    Raises:
        CheckpointError: if they do, or the limit is none.
    """
    if settings.side(None) != "right":
        raise CheckpointError(
            "truncation_side left is not built for this kind of tokenizer", where=settings.where
        )
    return token_limit(settings, longest)


def _refuse_versions(settings: FolderSettings) -> None:
    versions = settings.values.get("fast_tokenizer_files")
    if versions not in (None, [], ["tokenizer.json"]):
        raise CheckpointError(
            "fast_tokenizer_files names files for other versions of transformers",
            where=settings.where,
            hint="keep one tokenizer.json and remove the key",
        )


def _require_rows(largest: int, rows: int, folder: Path) -> None:
    if largest >= rows:
        raise CheckpointError(
            f"the tokenizer gives ids up to {largest}, the model has {rows} rows", where=folder
        )
