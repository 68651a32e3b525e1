"""Vocabularies of the Nucleotide Transformer family: k-mers in order over A, T, C, G, and singles.

Three layouts were published (InstaDeepAI hub repositories, ``vocab.txt``); the rule below gives the
published files byte for byte:

- ``nt-v1`` (NT 2.5B, Agro-NT): specials, k-mers, A T C G N, then ``<eos> <bos>``. The checkpoints
  have no embedding rows for the last two.
- ``nt-v2`` (NT v2): specials with ``<eos> <bos>`` among them, k-mers, A T C G N; ``k`` is 6, or 3.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, cached_property

from geneb_jax.errors import ConfigError

__all__ = ["KmerVocabulary", "built_in_vocabulary", "vocabulary_for_size"]

_LETTERS = "ATCG"
_LEADING = ("<unk>", "<pad>", "<mask>", "<cls>")
_CLOSING = ("<eos>", "<bos>")


@dataclass(frozen=True)
class KmerVocabulary:
    """Tokens in id order.

    Attributes:
        name: ``nt-v1``, ``nt-v2`` or the file it was read from.
        tokens: All tokens; the position is the id.
    """

    name: str
    tokens: tuple[str, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token to id; the last of repeated tokens wins, as in a Python dictionary."""
        return {token: index for index, token in enumerate(self.tokens)}

    @cached_property
    def k(self) -> int:
        """Length of the longest token made of A, C, G, T only, in bp; 0 when there is none."""
        return max(
            (len(token) for token in self.tokens if token and set(token) <= set(_LETTERS)),
            default=0,
        )

    @property
    def text(self) -> str:
        """The vocabulary as ``vocab.txt`` holds it: one token a line, no final newline."""
        return "\n".join(self.tokens)


@cache
def built_in_vocabulary(name: str, *, k: int = 6) -> KmerVocabulary:
    """The published vocabulary ``nt-v1`` or ``nt-v2`` for k-mers of ``k`` bp.

    Raises:
        ConfigError: for another name.
    """
    kmers = tuple("".join(letters) for letters in itertools.product(_LETTERS, repeat=k))
    singles = (*_LETTERS, "N")
    if name == "nt-v1":
        return KmerVocabulary(name, (*_LEADING, *kmers, *singles, *_CLOSING))
    if name == "nt-v2":
        return KmerVocabulary(name, (*_LEADING, *_CLOSING, *kmers, *singles))
    raise ConfigError(f"unknown k-mer vocabulary {name!r}", hint="known are nt-v1 and nt-v2")


def vocabulary_for_size(embedding_rows: int) -> KmerVocabulary | None:
    """The published vocabulary whose checkpoints have this many embedding rows, if there is one.

    4105 rows are v1's 6-mers (whose last two tokens have no row), 4107 are v2's 6-mers, 75 are v2's
    3-mers.
    """
    known = {4105: ("nt-v1", 6), 4107: ("nt-v2", 6), 75: ("nt-v2", 3)}
    if embedding_rows not in known:
        return None
    name, k = known[embedding_rows]
    return built_in_vocabulary(name, k=k)
