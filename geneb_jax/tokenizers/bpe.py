"""Tokenizers published as ``tokenizer.json``: BPE and whatever else ``tokenizers`` reads.

The library does the splitting; this module settles what surrounds it: special tokens, truncation
with the closing token kept, and the letter policy that a model's extractor applies beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["BpeTokenizer"]

_PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
_BASES = "ACGT"


class BpeTokenizer(Tokenizer):
    """A ``tokenizer.json`` with a model's own limit and letter policy.

    Args:
        file: The published file. Truncation and padding that it may hold are ignored, as
            transformers ignores them.
        max_tokens: Longest output, special tokens included; None for no limit.
        rows: Rows of the model's token embedding.
        special_tokens: Whether the file's own template of special tokens is applied.
        prefix: Tokens put in front, in addition.
        suffix: Tokens put behind, in addition; kept when a sequence is truncated.
        padding: Token that fills padded positions; a usual one of the vocabulary when None.
        strip: Whether outer white space is dropped first.
        upper_case: Whether letters are raised first.
        other_letters: Letter that replaces every character except A, C, G and T, after raising;
            None keeps them.

    Raises:
        CheckpointError: if the file cannot be read or gives ids without an embedding row.
        ConfigError: if a named token is not in the vocabulary, or the limit leaves no room.
    """

    def __init__(
        self,
        file: Path,
        *,
        max_tokens: int | None,
        rows: int | None = None,
        special_tokens: bool = True,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        padding: str | None = None,
        strip: bool = False,
        upper_case: bool = False,
        other_letters: str | None = None,
    ) -> None:
        from tokenizers import Tokenizer as LibraryTokenizer

        try:
            content = file.read_bytes()
            self._library = LibraryTokenizer.from_buffer(content)
        except FileNotFoundError as error:
            raise CheckpointError("the tokenizer file is missing", where=file) from error
        except Exception as error:  # the library raises bare exceptions
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(f"not a tokenizer file ({reason})", where=file) from error
        self._library.no_truncation()
        self._library.no_padding()
        self.where = str(file)
        self.max_tokens = max_tokens
        self._strip = strip
        self._upper_case = upper_case
        self._replacement = other_letters
        before, after = self._template() if special_tokens else ([], [])
        self._prefix = [*self._ids_of(prefix), *before]
        self._suffix = [*after, *self._ids_of(suffix)]
        if max_tokens is not None and max_tokens < len(self._prefix) + len(self._suffix):
            raise ConfigError(f"a limit of {max_tokens} tokens leaves no room for special tokens")
        self.pad_id = self._pad_id(padding)
        self.vocab_size = rows or self.largest_id + 1
        if self.largest_id >= self.vocab_size:
            raise CheckpointError(
                f"the tokenizer gives ids up to {self.largest_id}, the model has {rows} rows",
                where=file,
            )
        self._known = self._known_bytes()
        self._digest = definition_digest(
            {
                "kind": "bpe",
                "file": hashlib.sha256(content).hexdigest(),
                "max_tokens": max_tokens,
                "prefix": self._prefix,
                "suffix": self._suffix,
                "strip": strip,
                "upper_case": upper_case,
                "other_letters": other_letters,
            }
        )

    @property
    def largest_id(self) -> int:
        """The largest id of a token; an empty piece, which no text can give, does not count."""
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        return max(index for piece, index in vocabulary.items() if piece)

    @property
    def digest(self) -> str:
        """SHA-256 over the file, special tokens, letter policy and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, special tokens included, truncated on the right."""
        return self.tokenize_many([sequence])[0]

    def tokenize_many(self, sequences: Sequence[str]) -> list[TokenizedSequence]:
        """The same for many sequences, on all the library's threads."""
        texts = [self._prepared(sequence) for sequence in sequences]
        encodings = self._library.encode_batch_fast(texts, add_special_tokens=False)
        room = None
        if self.max_tokens is not None:
            room = self.max_tokens - len(self._prefix) - len(self._suffix)
        results = []
        for sequence, text, encoding in zip(sequences, texts, encodings, strict=True):
            ids = encoding.ids
            dropped_bp = 0
            if room is not None and len(ids) > room:
                # The fast form has no offsets; only the few overlong sequences need them.
                offsets = self._library.encode(text, add_special_tokens=False).offsets
                dropped_bp = len(text) - offsets[room][0]
                ids = ids[:room]
            results.append(
                TokenizedSequence(
                    ids=np.array([*self._prefix, *ids, *self._suffix], np.int32),
                    dropped_bp=dropped_bp,
                    unknown_bp=self._unknown_bp(sequence),
                )
            )
        return results

    def _prepared(self, sequence: str) -> str:
        text = sequence.strip() if self._strip else sequence
        text = text.upper() if self._upper_case else text
        if self._replacement is None:
            return text
        codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
        base = np.isin(codes, np.frombuffer(_BASES.encode(), np.uint8))
        kept = np.where(base, codes, np.uint8(ord(self._replacement)))
        return kept.tobytes().decode("ascii")

    def _template(self) -> tuple[list[int], list[int]]:
        """Ids that the file's template puts before and after a sequence."""
        plain = self._library.encode(_BASES, add_special_tokens=False).ids
        whole = self._library.encode(_BASES, add_special_tokens=True).ids
        count = len(whole) - len(plain)
        for start in range(count + 1):
            if whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
        raise CheckpointError("its template of special tokens is not understood", where=self.where)

    def _ids_of(self, tokens: Sequence[str]) -> list[int]:
        ids = []
        for token in tokens:
            index = self._library.token_to_id(token)
            if index is None:
                raise ConfigError(
                    f"the special token {token!r} is not in the vocabulary", where=self.where
                )
            ids.append(index)
        return ids

    def _pad_id(self, padding: str | None) -> int:
        if padding is not None:
            return self._ids_of([padding])[0]
        found = (self._library.token_to_id(name) for name in _PAD_NAMES)
        return next((index for index in found if index is not None), 0)

    def _known_bytes(self) -> np.ndarray:
        """The bytes that stand for a base, as a table; lower case only where it means the same."""
        known = np.zeros(256, bool)
        known[list(_BASES.encode())] = True
        raised, lower = (
            self._library.encode(self._prepared(text), add_special_tokens=False).ids
            for text in (_BASES, _BASES.lower())
        )
        known[list(_BASES.lower().encode())] = raised == lower
        return known

    def _unknown_bp(self, sequence: str) -> int:
        codes = np.frombuffer(sequence.encode("ascii", "replace"), np.uint8)
        return int(np.count_nonzero(~self._known[codes]))
