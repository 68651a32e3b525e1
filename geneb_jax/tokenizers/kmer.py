"""Greedy k-mer tokens with single-nucleotide fallback, as the Nucleotide Transformers read DNA.

The original is transformers' ``EsmTokenizer`` over a k-mer vocabulary: leftmost-longest matches
over all tokens, and one ``<unk>`` for each stretch in which no token begins. Within a stretch of
A, C, G, T this means k-mers from its start and single letters for the rest, which NumPy finds for a
whole batch at once. Texts that could hold a literal special token (``<``) or white space, and
vocabularies that are not k-mer tables, take the general way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers.kmer_vocabulary import KmerVocabulary
from geneb_jax.tokenizers.tokens import (
    TokenizedBatch,
    TokenizedSequence,
    Tokenizer,
    definition_digest,
    join_tokens,
)

__all__ = ["KmerTokenizer"]

_N, _OTHER, _BREAK = 4, 5, 6
_LETTERS = {"A": 0, "T": 1, "C": 2, "G": 3, "N": _N, "\n": _BREAK}
_CODES = bytes(_LETTERS.get(chr(byte), _OTHER) for byte in range(256))
_NOT_PLAIN = "< \t\r\v\f\x1c\x1d\x1e\x1f"
_BLOCK_BP = 1 << 20  # a few passes over this much stay in cache


class KmerTokenizer(Tokenizer):
    """Greedy leftmost-longest tokens over a vocabulary of k-mers, single letters and specials.

    Args:
        vocabulary: The tokens in id order.
        max_tokens: Longest output, special tokens included; None for no limit.
        prefix: Token put in front, None for none.
        suffix: Token put behind, None for none; kept when a sequence is truncated.
        unknown: Token of stretches without any match.
        padding: Token that fills padded positions.
        upper_case: Whether letters are raised first; the published tokenizers do not.
        rows: Number of embedding rows, where a checkpoint has fewer than the vocabulary has tokens.
        added: Tokens and ids beyond the vocabulary, matched as its own are.
        side: Which end an overlong sequence loses.

    Raises:
        ConfigError: if a special token is not in the vocabulary.
    """

    def __init__(
        self,
        vocabulary: KmerVocabulary,
        *,
        max_tokens: int | None = None,
        prefix: str | None = "<cls>",
        suffix: str | None = None,
        unknown: str = "<unk>",
        padding: str = "<pad>",
        upper_case: bool = False,
        rows: int | None = None,
        added: Mapping[str, int] | None = None,
        side: Literal["left", "right"] = "right",
    ) -> None:
        self.vocabulary = vocabulary
        self._options: dict[str, Any] = {
            "prefix": prefix,
            "suffix": suffix,
            "unknown": unknown,
            "padding": padding,
            "upper_case": upper_case,
            "rows": rows,
            "added": added,
            "side": side,
        }
        changed = {
            token: index
            for token, index in (added or {}).items()
            if vocabulary.ids.get(token) != index
        }
        self._ids = {**vocabulary.ids, **changed}
        self._side = side
        self.max_tokens = max_tokens
        self.vocab_size = rows or max(
            len(vocabulary.tokens), 1 + max(self._ids.values(), default=0)
        )
        self.upper_case = upper_case
        self._prefix = self._ids_of(prefix)
        self._suffix = self._ids_of(suffix)
        self._unknown_id = self.unknown_id = self._ids_of(unknown)[0]
        self.pad_id = self._ids_of(padding)[0]
        if max_tokens is not None and max_tokens < len(self._prefix) + len(self._suffix):
            raise ConfigError(f"a limit of {max_tokens} tokens leaves no room for special tokens")
        self._digest = definition_digest(
            {
                "kind": "greedy-kmer",
                "vocabulary": vocabulary.text,
                "max_tokens": max_tokens,
                "prefix": self._prefix,
                "suffix": self._suffix,
                "unknown": self._unknown_id,
                "upper_case": upper_case,
                **({"added": dict(sorted(changed.items()))} if changed else {}),
                **({"side": side} if side != "right" else {}),
            }
        )
        self._kmer_ids, self._single_ids = self._tables()
        self._lengths = sorted({len(token) for token in self._ids if token}, reverse=True)

    def with_limit(self, max_tokens: int | None) -> KmerTokenizer:
        """The same tokenizer with another limit."""
        return KmerTokenizer(self.vocabulary, **{**self._options, "max_tokens": max_tokens})

    def _ids_of(self, token: str | None) -> list[int]:
        if token is None:
            return []
        if token not in self._ids:
            raise ConfigError(
                f"the special token {token!r} is not in the vocabulary", where=self.vocabulary.name
            )
        return [self._ids[token]]

    def _tables(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Ids of all k-mers in base-4 order over ATCG, and of A T C G N; None if one is missing."""
        ids = self._ids
        singles = np.array([ids.get(letter, -1) for letter in "ATCGN"], np.int32)
        k = self.vocabulary.k
        words = [token for token in ids if token.isalpha()]
        # Texts with "<" are scanned, so tokens with it are in no other text.
        others = any(token and not token.isalpha() and "<" not in token for token in ids)
        if k < 2 or singles.min() < 0 or others or len(words) != 4**k + 5:
            return None, singles
        kmers = [word for word in words if len(word) == k]
        codes = _codes("".join(kmers)).reshape(-1, k).astype(np.int64)
        if not len(codes) or codes.max() >= _N:
            return None, singles
        numbers = codes @ 4 ** np.arange(k)[::-1]
        table = np.full(4**k, -1, np.int32)
        if len(kmers) == 4**k and numbers.max() < 4**k:
            table[numbers] = [ids[kmer] for kmer in kmers]
        return (table if table.min() >= 0 else None), singles

    @property
    def largest_id(self) -> int:
        """The largest id that DNA can give, special tokens of its own included."""
        letters = [index for token, index in self._ids.items() if token and "<" not in token]
        return max([*letters, *self._prefix, *self._suffix, self._unknown_id])

    @property
    def digest(self) -> str:
        """SHA-256 over vocabulary, special tokens, letter policy and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, special tokens included, truncated on its side."""
        batch = self._block([sequence])
        return TokenizedSequence(
            ids=batch.ids, dropped_bp=int(batch.dropped_bp[0]), unknown_bp=int(batch.unknown_bp[0])
        )

    def tokenize_batch(self, sequences: Sequence[str]) -> TokenizedBatch:
        """The same for many sequences, a block of them at a time."""
        smallest = np.uint16 if max(self._ids.values()) < 1 << 16 else np.int32
        blocks = [self._block(block) for block in _blocks(sequences)]
        lengths = [block.length_tokens for block in blocks]
        starts = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum(_joined(lengths, np.int64), out=starts[1:])
        return TokenizedBatch(
            ids=_joined([block.ids.astype(smallest) for block in blocks], smallest),
            starts=starts,
            dropped_bp=_joined([block.dropped_bp for block in blocks], np.int64),
            unknown_bp=_joined([block.unknown_bp for block in blocks], np.int64),
        )

    def _block(self, sequences: Sequence[str]) -> TokenizedBatch:
        """Some sequences, with int32 ids."""
        text = "\n".join(sequences)
        if self.upper_case:
            text = text.upper()
        if self._kmer_ids is not None and _is_plain(text, breaks=len(sequences) - 1):
            return self._finish(text, np.array(list(map(len, sequences))), *self._by_runs(text))
        if len(sequences) == 1:
            return self._finish(text, np.array([len(text)]), *self._by_scanning(text))
        return join_tokens([self.tokenize(sequence) for sequence in sequences])

    def _finish(
        self, text: str, lengths_bp: np.ndarray, places: np.ndarray, ids: np.ndarray
    ) -> TokenizedBatch:
        """Cut tokens at the limit, put special tokens around them, count what was lost.

        Args:
            text: The sequences, one line each.
            lengths_bp: Letters of each sequence.
            places: Where each token begins in the text, ascending.
            ids: The tokens.
        """
        begins = np.zeros(len(lengths_bp) + 1, np.int64)
        np.cumsum(lengths_bp + 1, out=begins[1:])
        first = np.searchsorted(places, begins)
        counts = np.diff(first)
        specials = len(self._prefix) + len(self._suffix)
        room = len(ids) if self.max_tokens is None else self.max_tokens - specials
        kept = np.minimum(counts, room)
        starts = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(kept + specials, out=starts[1:])
        out = np.empty(starts[-1], np.int32)
        for place, token in enumerate(self._prefix):
            out[starts[:-1] + place] = token
        for place, token in enumerate(reversed(self._suffix)):
            out[starts[1:] - 1 - place] = token
        rank = _count_within(kept)
        from_left = self._side == "left"
        source = first[1:] - kept if from_left else first[:-1]
        out[np.repeat(starts[:-1] + len(self._prefix), kept) + rank] = ids[
            np.repeat(source, kept) + rank
        ]
        dropped_bp = np.zeros(len(kept), np.int64)
        cut = np.flatnonzero(counts > kept)
        if from_left:
            seen = np.append(places, len(text))[source[cut]] if room else begins[cut + 1] - 1
            dropped_bp[cut] = seen - begins[cut]
        else:
            dropped_bp[cut] = begins[cut] + lengths_bp[cut] - places[first[cut] + room]
        codes = _codes(text)
        unknown = np.concatenate([[0], np.cumsum(codes >= _N)])
        unknown_bp = unknown[begins[:-1] + lengths_bp] - unknown[begins[:-1]]
        if len(out) and out.max() >= self.vocab_size:  # a text that spells a name without a row
            raise CheckpointError(
                f"the tokenizer gives ids up to {out.max()}, the model has {self.vocab_size} rows",
                where=self.vocabulary.name,
            )
        return TokenizedBatch(out, starts, dropped_bp, unknown_bp.astype(np.int64))

    def _by_runs(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Place and id of every token, from the stretches of A, C, G, T."""
        assert self._kmer_ids is not None
        k = self.vocabulary.k
        codes = _codes(text)
        is_base = np.concatenate([[False], codes < _N, [False]])
        edges = np.flatnonzero(is_base[1:] != is_base[:-1])
        run_starts, run_ends = edges[0::2], edges[1::2]
        lengths = run_ends - run_starts
        kmer_counts = lengths // k

        kmers = np.repeat(run_starts, kmer_counts) + k * _count_within(kmer_counts)
        rest = lengths - kmer_counts * k
        singles = np.repeat(run_starts + kmer_counts * k, rest) + _count_within(rest)
        other = np.concatenate([[False], codes == _OTHER])
        numbers = np.zeros(len(kmers), np.int64)
        for place in range(k):
            numbers = 4 * numbers + codes[kmers + place]

        tokens = np.full(len(codes), -1, np.int32)
        tokens[kmers] = self._kmer_ids[numbers]
        tokens[singles] = self._single_ids[codes[singles]]
        tokens[codes == _N] = self._single_ids[_N]
        tokens[np.flatnonzero(other[1:] & ~other[:-1])] = self._unknown_id
        places = np.flatnonzero(tokens >= 0)
        return places, tokens[places]

    def _by_scanning(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The same for any vocabulary and any text, token by token."""
        pairs = list(self._matches(text))
        places = np.array([place for place, _ in pairs], np.int64)
        return places, np.array([token for _, token in pairs], np.int32)

    def _matches(self, text: str) -> Iterator[tuple[int, int]]:
        ids = self._ids
        place = 0
        in_unknown_word = False
        while place < len(text):
            for length in self._lengths:
                token = ids.get(text[place : place + length])
                if token is not None:
                    yield place, token
                    place += min(length, len(text) - place)
                    in_unknown_word = False
                    break
            else:
                if text[place].isspace():
                    in_unknown_word = False
                elif not in_unknown_word:
                    yield place, self._unknown_id
                    in_unknown_word = True
                place += 1


def _codes(text: str) -> np.ndarray:
    """uint8 ``[len(text)]``: 0-3 for A T C G, then N, any other character, a line break."""
    return np.frombuffer(text.encode("ascii", "replace").translate(_CODES), np.uint8)


def _is_plain(text: str, *, breaks: int) -> bool:
    """Whether a text holds no special tokens, and no white space besides the line breaks."""
    return (
        text.isascii()
        and text.count("\n") == breaks
        and not any(character in text for character in _NOT_PLAIN)
    )


def _blocks(sequences: Sequence[str]) -> Iterator[Sequence[str]]:
    """Consecutive sequences, about :data:`_BLOCK_BP` letters at a time."""
    first = size = 0
    for index, sequence in enumerate(sequences):
        size += len(sequence)
        if size >= _BLOCK_BP:
            yield sequences[first : index + 1]
            first, size = index + 1, 0
    if first < len(sequences):
        yield sequences[first:]


def _joined(parts: list[np.ndarray], dtype: DTypeLike) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _count_within(counts: np.ndarray) -> np.ndarray:
    """0, 1, ... counts[0]-1, 0, 1, ... counts[1]-1, and so on."""
    total = int(counts.sum())
    return np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
