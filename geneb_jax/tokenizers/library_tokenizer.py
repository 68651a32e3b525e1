"""Tokenizers that the ``tokenizers`` library carries out: BPE, WordPiece, WordLevel, Unigram.

The library does the splitting; this module settles what surrounds it: special tokens, truncation
on either side with the special tokens kept, and the letter policy that a model's extractor applies
beforehand.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

__all__ = ["LibraryTokenizer", "library_digest"]

_PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
_BASES = "ACGT"
_PROBES = 64
#: An empty piece, and names in brackets as special tokens have.
_BASE_WORD = re.compile("[ACGTacgt]+")
_NO_SEQUENCE = re.compile(r"|<[^>]+>|\[[^\]]+\]")


def library_digest(library: Library) -> str:
    """SHA-256 (hex) over all that a library tokenizer does."""
    return hashlib.sha256(library.to_str().encode("utf-8")).hexdigest()


class LibraryTokenizer(Tokenizer):
    """A library tokenizer with a model's own limit and letter policy.

    Args:
        library: The tokenizer; its truncation and padding are switched off.
        where: Its file or folder, for messages.
        source: What the digest says of the library: its kind, and its content's SHA-256.
        max_tokens: Longest output, special tokens included; None for no limit.
        rows: Rows of the model's token embedding.
        special_tokens: Whether the tokenizer's own template of special tokens is applied.
        prefix: Tokens put in front, in addition.
        suffix: Tokens put behind, in addition; kept when a sequence is truncated.
        padding: Token that fills padded positions; a usual one of the vocabulary when None.
        strip: Whether outer white space is dropped first.
        upper_case: Whether letters are raised first.
        other_letters: Letter that replaces every character except A, C, G and T, after raising;
            None keeps them.
        side: Which end an overlong sequence loses.

    Raises:
        CheckpointError: if it gives ids without an embedding row, or cannot be used.
        ConfigError: if a named token is not in the vocabulary, or the limit leaves no room.
    """

    def __init__(
        self,
        library: Library,
        *,
        where: object,
        source: Mapping[str, object],
        max_tokens: int | None,
        rows: int | None = None,
        special_tokens: bool = True,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        padding: str | None = None,
        strip: bool = False,
        upper_case: bool = False,
        other_letters: str | None = None,
        side: Literal["left", "right"] = "right",
    ) -> None:
        self._library = library
        self._library.no_truncation()
        self._library.no_padding()
        self.where = str(where)
        self.max_tokens = max_tokens
        self._options: dict[str, Any] = {
            "where": where,
            "rows": rows,
            "special_tokens": special_tokens,
            "prefix": prefix,
            "suffix": suffix,
            "padding": padding,
            "strip": strip,
            "upper_case": upper_case,
            "other_letters": other_letters,
            "side": side,
        }
        self._source = source
        self._side = side
        self._strip = strip
        self._upper_case = upper_case
        self._replacement = other_letters
        before, after = self._template() if special_tokens else ([], [])
        self._prefix = [*self._ids_of(prefix), *before]
        self._suffix = [*after, *self._ids_of(suffix)]
        if max_tokens is not None and max_tokens < len(self._prefix) + len(self._suffix):
            raise ConfigError(f"a limit of {max_tokens} tokens leaves no room for special tokens")
        self.pad_id = self._pad_id(padding)
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        self.unknown_id = vocabulary.get(str(getattr(self._library.model, "unk_token", None)))
        self.vocab_size = rows or max(vocabulary.values(), default=0) + 1
        if self.largest_id >= self.vocab_size:
            raise self._beyond(self.largest_id)
        # Tokens that no sequence spells, such as a [PAD] added later, may lack a row.
        self._checks_ids = max(vocabulary.values(), default=0) >= self.vocab_size
        self._known = self._known_bytes()
        self._digest = definition_digest(
            {
                **source,
                "max_tokens": max_tokens,
                "prefix": self._prefix,
                "suffix": self._suffix,
                "strip": strip,
                "upper_case": upper_case,
                "other_letters": other_letters,
                **({"side": side} if side != "right" else {}),
            }
        )

    @property
    def model(self) -> str:
        """Kind of the library's model: BPE, WordPiece, WordLevel or Unigram."""
        return type(self._library.model).__name__

    @property
    def shortest_word(self) -> int | None:
        """Letters of the shortest entry of A, C, G and T alone; None where there is none."""
        words = self._library.get_vocab(with_added_tokens=False)
        lengths = [len(word) for word in words if _BASE_WORD.fullmatch(word)]
        return min(lengths, default=None)

    @property
    def largest_id(self) -> int:
        """The largest id that a sequence can give, special tokens around it included.

        An empty piece, which no text can give, does not count, nor does a name in brackets.
        """
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        ids = (index for piece, index in vocabulary.items() if not _NO_SEQUENCE.fullmatch(piece))
        return max([*ids, *self._prefix, *self._suffix], default=0)

    def _beyond(self, index: int) -> CheckpointError:
        return CheckpointError(
            f"the tokenizer gives ids up to {index}, the model has {self.vocab_size} rows",
            where=self.where,
            cause="tokens were added to the tokenizer, and the embedding was not resized",
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the library's content, special tokens, letter policy, limit and side."""
        return self._digest

    def with_limit(self, max_tokens: int | None) -> LibraryTokenizer:
        """The same tokenizer with another limit."""
        return LibraryTokenizer(
            self._library, source=self._source, max_tokens=max_tokens, **self._options
        )

    def in_lower_case(self) -> LibraryTokenizer:
        """The same tokenizer after lower-casing, as sentence-transformers' ``do_lower_case`` asks.

        A normaliser that lower-cases already stays as it is.
        """
        from tokenizers import Tokenizer as LibraryClass
        from tokenizers import normalizers

        present: Any = self._library.normalizer
        steps = [] if present is None else [present]
        if isinstance(present, normalizers.Sequence):
            steps = list(cast("Any", present))  # it can be walked, which its types do not say
        if any(isinstance(step, normalizers.Lowercase) for step in steps):
            return self
        library = LibraryClass.from_str(self._library.to_str())
        library.encode_special_tokens = self._library.encode_special_tokens
        library.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
        source = {**self._source, "library": library_digest(library)}
        return LibraryTokenizer(library, source=source, max_tokens=self.max_tokens, **self._options)

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, special tokens included, truncated on its side."""
        return self.tokenize_many([sequence])[0]

    def tokenize_many(self, sequences: Sequence[str]) -> list[TokenizedSequence]:
        """The same for many sequences, on all the library's threads.

        Raises:
            CheckpointError: if the vocabulary can write a sequence neither as tokens nor as an
                unknown one.
        """
        texts = [self._prepared(sequence) for sequence in sequences]
        encodings = self._encode_many(texts)
        room = None
        if self.max_tokens is not None:
            room = self.max_tokens - len(self._prefix) - len(self._suffix)
        results = []
        for sequence, text, encoding in zip(sequences, texts, encodings, strict=True):
            ids = encoding.ids
            if self._checks_ids and ids and max(ids) >= self.vocab_size:
                raise self._beyond(max(ids))
            dropped_bp = 0
            if room is not None and len(ids) > room:
                dropped_bp = self._dropped_bp(text, room)
                ids = ids[:room] if self._side == "right" else ids[len(ids) - room :]
            results.append(
                TokenizedSequence(
                    ids=np.array([*self._prefix, *ids, *self._suffix], np.int32),
                    dropped_bp=dropped_bp,
                    unknown_bp=self._unknown_bp(sequence),
                )
            )
        return results

    def _encode_many(self, texts: Sequence[str]) -> list[Any]:
        try:
            return self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        except BaseException as error:
            # The library raises bare exceptions, and panics that are no Exception at all.
            panicked = type(error).__name__ == "PanicException"
            if not panicked and not isinstance(error, Exception):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(
                f"its tokenizer cannot write a sequence ({reason:.200})",
                where=self.where,
                cause="the sequence holds what is not in the vocabulary, and there is no token for "
                "unknown pieces",
            ) from error

    def _dropped_bp(self, text: str, room: int) -> int:
        # The fast form has no offsets; only the few overlong sequences need them.
        offsets = self._library.encode(text, add_special_tokens=False).offsets
        if self._side == "right":
            return len(text) - offsets[room][0]
        return offsets[len(offsets) - room - 1][1]

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
        """Ids that the tokenizer's template puts before and after a sequence."""
        text = next((text for text in self._probes() if self._encode_many([text])[0].ids), _BASES)
        plain = self._encode_many([text])[0].ids
        whole = self._library.encode(text, add_special_tokens=True)
        marks = np.array(whole.special_tokens_mask, bool)
        inside = np.flatnonzero(~marks)
        start, stop = (inside[0], inside[-1] + 1) if len(inside) else (len(marks), len(marks))
        if whole.ids[start:stop] == plain:
            return whole.ids[:start], whole.ids[stop:]
        # A template may mark nothing; then it is told by where the plain ids are.
        for start in range(len(whole.ids) - len(plain) + 1):
            if whole.ids[start : start + len(plain)] == plain and not marks.any():
                return whole.ids[:start], whole.ids[start + len(plain) :]
        raise CheckpointError("its template of special tokens is not understood", where=self.where)

    def _probes(self) -> list[str]:
        """Texts of which one gives tokens, unless none does."""
        pieces = sorted(self._library.get_vocab(with_added_tokens=False))
        return [_BASES, _BASES.lower(), "N", *pieces[:_PROBES]]

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
        try:
            raised, lower = (
                self._encode_many([self._prepared(text)])[0].ids
                for text in (_BASES, _BASES.lower())
            )
        except CheckpointError:
            return known  # lower case cannot be written at all
        known[list(_BASES.lower().encode())] = raised == lower
        return known

    def _unknown_bp(self, sequence: str) -> int:
        codes = np.frombuffer(sequence.encode("ascii", "replace"), np.uint8)
        return int(np.count_nonzero(~self._known[codes]))
