"""EsmTokenizer's reading of a vocab.txt: greedy tokens, added ones among them.

Reference: transformers 5.24 ``EsmTokenizer`` and ``PythonBackend``: all tokens of the vocabulary
and all added ones are looked for in the text, leftmost and longest first; what is left between them
is split at white space into unknown words.
"""

from __future__ import annotations

from pathlib import Path

from geneb_jax.errors import CheckpointError
from geneb_jax.tokenizers.folder_files import repeated_note
from geneb_jax.tokenizers.folder_settings import FolderSettings
from geneb_jax.tokenizers.kmer import KmerTokenizer
from geneb_jax.tokenizers.kmer_vocabulary import KmerVocabulary

__all__ = ["esm_tokenizer"]

_DEFAULTS = {
    "unk_token": "<unk>",
    "cls_token": "<cls>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "eos_token": "<eos>",
}


def esm_tokenizer(
    text: str, settings: FolderSettings, *, limit: int | None, rows: int, special_tokens: bool
) -> tuple[KmerTokenizer, tuple[str, ...]]:
    """The tokenizer of a vocab.txt, and notes.

    Args:
        text: The content of vocab.txt.
        settings: What the other files say.
        limit: Longest output; None for no limit.
        rows: Rows of the token embedding.
        special_tokens: Whether special tokens are put around.

    Raises:
        CheckpointError: for a setting that is not built, or a special token without an id.
    """
    vocabulary = KmerVocabulary("vocab.txt", tuple(line.strip() for line in text.splitlines()))
    if settings.flag("split_special_tokens", False):
        raise CheckpointError("split_special_tokens is not supported", where=settings.where)
    named = settings.special_tokens(_DEFAULTS)
    ids = {**vocabulary.ids, **{token.content: i for i, token in settings.added.items()}}
    free = len(ids)
    for token in (*named.values(), *settings.extra_tokens()):
        if str(token) and str(token) not in ids:
            ids[str(token)] = free
            free += 1
    _refuse_odd_tokens(ids, settings)
    unknown = named.get("unk_token")
    if unknown is None or str(unknown) not in vocabulary.ids:
        raise CheckpointError(
            f"the unknown token {str(unknown)!r} is not in vocab.txt", where=settings.where
        )
    if "cls_token" not in named:
        raise CheckpointError("cls_token is null, EsmTokenizer needs one", where=settings.where)
    where = Path(settings.where).with_name("vocab.txt")
    notes = [*repeated_note(vocabulary.tokens, where=where)]
    ends = [str(named["cls_token"]), None if "eos_token" not in named else str(named["eos_token"])]
    if ends[1] is not None and ids[ends[1]] >= rows and "eos_token" not in settings.values:
        # Published NT v1 checkpoints have no row for it, and their tokenizer puts none.
        notes.append(
            f"{settings.where} names no eos_token, and the model has no row for {ends[1]}: none is "
            "put behind a sequence"
        )
        ends[1] = None
    tokenizer = KmerTokenizer(
        vocabulary,
        max_tokens=limit,
        prefix=ends[0] if special_tokens else None,
        suffix=ends[1] if special_tokens else None,
        unknown=str(unknown),
        padding=str(named.get("pad_token", unknown)),
        rows=rows,
        added=ids,
        side=settings.side(None),
    )
    return tokenizer, tuple(notes)


def _refuse_odd_tokens(ids: dict[str, int], settings: FolderSettings) -> None:
    """Tokens that the greedy search would not find as transformers does."""
    for added in settings.added.values():
        if added.single_word:
            raise CheckpointError(
                f"the added token {added.content!r:.60} is a single_word, which is not built",
                where=settings.where,
            )
    for token in ids:
        if token and token.split() != [token]:
            raise CheckpointError(
                f"the token {token!r:.60} holds white space, which EsmTokenizer splits at",
                where=settings.where,
            )
        # transformers' search (``Trie.split``) goes on with a match that has failed, and joins
        # letters into none, where a shorter one ends beside it. That takes a token whose first
        # letter is none; names in brackets (<unk>, [UNK]) are in no sequence.
        if len(token) > 1 and token[0] not in ids and not {"<", "["} & set(token):
            raise CheckpointError(
                f"the token {token!r:.60} begins with {token[0]!r}, which is no token itself: "
                "transformers finds such tokens by luck, and that is not built",
                where=settings.where,
                hint=f"add {token[0]!r} to the vocabulary, or load it with -m torch:FOLDER",
            )
