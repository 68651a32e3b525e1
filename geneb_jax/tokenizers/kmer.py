"""Greedy k-mer tokens with single-nucleotide fallback, as the Nucleotide Transformers read DNA.

The original is transformers' ``EsmTokenizer`` over a k-mer vocabulary: leftmost-longest matches
over all tokens, and one ``<unk>`` for each stretch in which no token begins. Within a stretch of
A, C, G, T this means k-mers from its start and single letters for the rest, which NumPy finds for a
whole sequence at once. Texts that could hold a literal special token (``<``) or white space, and
vocabularies that are not k-mer tables, take the general way.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geneb_jax.errors import ConfigError
from geneb_jax.tokenizers.kmer_vocabulary import KmerVocabulary
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["KmerTokenizer"]

_BASES = b"ATCG"
_N_CODE, _OTHER_CODE = 4, 5
_CODES = np.full(256, _OTHER_CODE, np.uint8)
for _code, _letter in enumerate(_BASES):
    _CODES[_letter] = _code
_CODES[ord("N")] = _N_CODE


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
    ) -> None:
        self.vocabulary = vocabulary
        self.max_tokens = max_tokens
        self.vocab_size = rows or len(vocabulary.tokens)
        self.upper_case = upper_case
        self._prefix = self._ids_of(prefix)
        self._suffix = self._ids_of(suffix)
        self._unknown_id = self._ids_of(unknown)[0]
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
            }
        )
        self._kmer_ids, self._single_ids = self._tables()
        self._lengths = sorted({len(token) for token in vocabulary.tokens if token}, reverse=True)

    def _ids_of(self, token: str | None) -> list[int]:
        if token is None:
            return []
        if token not in self.vocabulary.ids:
            raise ConfigError(
                f"the special token {token!r} is not in the vocabulary", where=self.vocabulary.name
            )
        return [self.vocabulary.ids[token]]

    def _tables(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Ids of all k-mers in base-4 order over ATCG, and of A T C G N; None if one is missing."""
        ids = self.vocabulary.ids
        singles = np.array([ids.get(letter, -1) for letter in "ATCGN"], np.int32)
        k = self.vocabulary.k
        letters_only = [t for t in self.vocabulary.tokens if t.isalpha()]
        if k < 2 or singles.min() < 0 or len(letters_only) != 4**k + 5:
            return None, singles
        table = np.full(4**k, -1, np.int32)
        weights = 4 ** np.arange(k - 1, -1, -1)
        for token in letters_only:
            if len(token) == k:
                table[int(_CODES[list(token.encode("ascii"))].astype(np.int64) @ weights)] = ids[
                    token
                ]
        return (table if table.min() >= 0 else None), singles

    @property
    def largest_id(self) -> int:
        """The largest id that DNA can give, special tokens of its own included."""
        letters = [self.vocabulary.ids[t] for t in self.vocabulary.tokens if t.isalpha()]
        return max([*letters, *self._prefix, *self._suffix, self._unknown_id])

    @property
    def digest(self) -> str:
        """SHA-256 over vocabulary, special tokens, letter policy and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, special tokens included, truncated on the right."""
        text = sequence.upper() if self.upper_case else sequence
        if self._kmer_ids is None or "<" in text or any(map(str.isspace, set(text))):
            starts, ids = self._by_scanning(text)
        else:
            starts, ids = self._by_runs(text)
        dropped_bp = 0
        room = len(ids)
        if self.max_tokens is not None:
            room = self.max_tokens - len(self._prefix) - len(self._suffix)
        if len(ids) > room:
            dropped_bp = len(text) - int(starts[room])
            ids = ids[:room]
        codes = _codes(text)
        return TokenizedSequence(
            ids=np.concatenate([self._prefix, ids, self._suffix]).astype(np.int32),
            dropped_bp=dropped_bp,
            unknown_bp=int(np.count_nonzero(codes >= _N_CODE)),
        )

    def _by_runs(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Start (in letters) and id of every token, from the stretches of A, C, G, T."""
        assert self._kmer_ids is not None
        k = self.vocabulary.k
        codes = _codes(text)
        is_base = np.concatenate([[False], codes < _N_CODE, [False]])
        edges = np.flatnonzero(is_base[1:] != is_base[:-1])
        run_starts, run_ends = edges[0::2], edges[1::2]
        lengths = run_ends - run_starts
        kmer_counts = lengths // k

        kmer_starts = np.repeat(run_starts, kmer_counts) + k * _count_within(kmer_counts)
        rest = lengths - kmer_counts * k
        single_starts = np.repeat(run_starts + kmer_counts * k, rest) + _count_within(rest)
        n_starts = np.flatnonzero(codes == _N_CODE)
        other = np.concatenate([[False], codes == _OTHER_CODE])
        other_starts = np.flatnonzero(other[1:] & ~other[:-1])

        numbers = np.zeros(len(kmer_starts), np.int64)
        for place in range(k):
            numbers = 4 * numbers + codes[kmer_starts + place]
        starts = np.concatenate([kmer_starts, single_starts, n_starts, other_starts])
        ids = np.concatenate(
            [
                self._kmer_ids[numbers],
                self._single_ids[codes[single_starts]],
                np.full(len(n_starts), self._single_ids[_N_CODE]),
                np.full(len(other_starts), self._unknown_id),
            ]
        )
        order = np.argsort(starts, kind="stable")
        return starts[order], ids[order]

    def _by_scanning(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The same for any vocabulary and any text, token by token."""
        pairs = list(self._matches(text))
        starts = np.array([start for start, _ in pairs], np.int64)
        return starts, np.array([token for _, token in pairs], np.int64)

    def _matches(self, text: str) -> Iterator[tuple[int, int]]:
        ids = self.vocabulary.ids
        start = 0
        in_unknown_word = False
        while start < len(text):
            for length in self._lengths:
                token = ids.get(text[start : start + length])
                if token is not None:
                    yield start, token
                    start += min(length, len(text) - start)
                    in_unknown_word = False
                    break
            else:
                if text[start].isspace():
                    in_unknown_word = False
                elif not in_unknown_word:
                    yield start, self._unknown_id
                    in_unknown_word = True
                start += 1


def _codes(text: str) -> np.ndarray:
    """uint8 ``[len(text)]``: 0-3 for A T C G, 4 for N, 5 for any other letter."""
    return _CODES[np.frombuffer(text.encode("ascii", "replace"), np.uint8)]


def _count_within(counts: np.ndarray) -> np.ndarray:
    """0, 1, ... counts[0]-1, 0, 1, ... counts[1]-1, and so on."""
    total = int(counts.sum())
    return np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
