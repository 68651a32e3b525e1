"""GENERator's tokens: 6-mers side by side, as GENEB's extractor feeds them.

32 special tokens, then the 6-mers in order over A, T, C, G. The extractor cuts the sequence to a
multiple of 6 bp, puts the text ``<s>`` in front, and the tokenizer adds a ``<s>`` of its own. A
6-mer with any other letter is ``<oov>``.

The original looks for special tokens first, then takes runs of capital letters in pieces of 6, and
every other character by itself. For capital letters alone that is one reshape; any other text takes
the general way.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

from geneb_jax.errors import ConfigError
from geneb_jax.tokenizers.kmer_chunks import chunk_numbers, count_other_letters, letter_codes
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["GeneratorTokenizer", "generator_vocabulary"]

_SPECIALS = (
    "<oov> <s> </s> <pad> <mask> <bog> <eog> <bok> <eok> <+> <-> <cds> <pseudo> <tRNA> <rRNA> "
    "<ncRNA> <miscRNA> <mam> <vrt> <inv> <pln> <fng> <prt> <arc> <bct> <mit> <plt> <plm> <vir> "
    "<sp0> <sp1> <sp2>"
).split()
_ALPHABET = "ATCG"
_CODES = letter_codes(_ALPHABET)
_UNKNOWN, _BEGIN, _PAD = 0, 1, 3


def generator_vocabulary(k: int = 6) -> tuple[str, ...]:
    """The tokens in id order; with their numbers behind, the published ``vocab.txt``."""
    kmers = ("".join(letters) for letters in itertools.product(_ALPHABET, repeat=k))
    return (*_SPECIALS, *kmers)


class GeneratorTokenizer(Tokenizer):
    """GENERator's tokenizer with the extractor's trimming and double ``<s>``.

    Args:
        max_tokens: Longest output, both ``<s>`` included; None for no limit.
        k: Letters of a k-mer.
        begin_count: How many ``<s>`` stand in front.

    Raises:
        ConfigError: if the limit leaves no room for the ``<s>``.
    """

    pad_id = _PAD

    def __init__(self, *, max_tokens: int | None, k: int = 6, begin_count: int = 2) -> None:
        if max_tokens is not None and max_tokens < begin_count:
            raise ConfigError(f"a limit of {max_tokens} tokens leaves no room for special tokens")
        self.k = k
        self.max_tokens = max_tokens
        self.vocab_size = len(_SPECIALS) + len(_ALPHABET) ** k
        self._begin = np.full(begin_count, _BEGIN, np.int64)
        specials = "|".join(re.escape(token) for token in _SPECIALS)
        self._pieces = re.compile(f"{specials}|[A-Z]{{{k}}}|[A-Z]+|.", re.DOTALL)
        self._plain = re.compile("[A-Z]*")
        self._digest = definition_digest(
            {
                "kind": "generator-kmer",
                "k": k,
                "specials": _SPECIALS,
                "begin_count": begin_count,
                "max_tokens": max_tokens,
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 over special tokens, k and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, truncated on the right.

        ``dropped_bp`` counts what the limit cuts off, not the last ``len % k`` letters, which this
        model never sees.
        """
        text = sequence[: len(sequence) // self.k * self.k]
        if self._plain.fullmatch(text):
            numbers = chunk_numbers(text, self.k, _CODES)
            ids = np.where(numbers < 0, _UNKNOWN, numbers + len(_SPECIALS))
            starts = np.arange(len(ids)) * self.k
        else:
            matches = list(self._pieces.finditer(text))
            ids = np.array([self._id_of(match.group()) for match in matches], np.int64)
            starts = np.array([match.start() for match in matches], np.int64)
        dropped_bp = 0
        if self.max_tokens is not None and len(ids) > self.max_tokens - len(self._begin):
            room = self.max_tokens - len(self._begin)
            dropped_bp = len(text) - int(starts[room])
            ids = ids[:room]
        return TokenizedSequence(
            ids=np.concatenate([self._begin, ids]).astype(np.int32),
            dropped_bp=dropped_bp,
            unknown_bp=count_other_letters(sequence),
        )

    def _id_of(self, piece: str) -> int:
        if piece in _SPECIALS:
            return _SPECIALS.index(piece)
        number = chunk_numbers(piece, self.k, _CODES)
        return len(_SPECIALS) + int(number[0]) if len(number) and number[0] >= 0 else _UNKNOWN
