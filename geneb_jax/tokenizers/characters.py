"""One token a letter, from small published tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.errors import ConfigError
from geneb_jax.tokenizers.kmer_chunks import count_other_letters
from geneb_jax.tokenizers.tokens import TokenizedSequence, Tokenizer, definition_digest

__all__ = ["CHARACTER_TABLES", "CharacterTable", "CharacterTokenizer"]


@dataclass(frozen=True, slots=True)
class CharacterTable:
    """A published character vocabulary and the policy around it.

    Attributes:
        letters: Letter to id.
        unknown: Id of every other character.
        pad: Id that fills padded positions.
        prefix: Ids put in front.
        suffix: Ids put behind; kept when a sequence is truncated.
        upper_case: Whether letters are raised first.
        skips_spaces: Whether white space gives no token.
    """

    letters: Mapping[str, int]
    unknown: int
    pad: int
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    upper_case: bool = False
    skips_spaces: bool = False


_SEVEN = {"A": 7, "C": 8, "G": 9, "T": 10, "N": 11}

#: ``biofm``: the six ``char_ords`` of m42-health/BioFM-265M's tokenizer_config.json between [CLS]
#: and [SEP]; its embedder joins letters by spaces and splits again, so white space vanishes.
#: ``caduceus`` (JanusDNA as well) and ``hyenadna``: one vocabulary, letters raised or not; the
#: extractors ask for no special tokens. ``lucaone``: U is T, every other character is N.
#: ``splicebert``: of its extractor, where U is T and the IUPAC codes are N.
CHARACTER_TABLES: Mapping[str, CharacterTable] = {
    "biofm": CharacterTable(
        letters={"D": 0, "N": 1, "A": 2, "T": 3, "G": 4, "C": 5},
        unknown=8,
        pad=9,
        prefix=(6,),
        suffix=(7,),
        skips_spaces=True,
    ),
    "caduceus": CharacterTable(letters=_SEVEN, unknown=6, pad=4, upper_case=True),
    "hyenadna": CharacterTable(letters=_SEVEN, unknown=6, pad=4),
    "lucaone": CharacterTable(
        letters={"A": 5, "T": 6, "U": 6, "C": 7, "G": 8},
        unknown=9,
        pad=0,
        prefix=(2,),
        suffix=(3,),
        upper_case=True,
    ),
    "splicebert": CharacterTable(
        letters={"A": 6, "C": 7, "G": 8, "T": 9, "U": 9, **dict.fromkeys("NRYSWKMBDHV", 5)},
        unknown=1,
        pad=0,
        prefix=(2,),
        suffix=(3,),
        upper_case=True,
    ),
}


class CharacterTokenizer(Tokenizer):
    """Letters to ids by a table.

    Args:
        table: Name in :data:`CHARACTER_TABLES`.
        max_tokens: Longest output, special tokens included; None for no limit.

    Raises:
        ConfigError: for an unknown table or a limit without room.
    """

    def __init__(self, table: str, *, max_tokens: int | None) -> None:
        if table not in CHARACTER_TABLES:
            raise ConfigError(
                f"unknown character table {table!r}",
                hint=f"known are {', '.join(sorted(CHARACTER_TABLES))}",
            )
        chosen = CHARACTER_TABLES[table]
        if max_tokens is not None and max_tokens < len(chosen.prefix) + len(chosen.suffix):
            raise ConfigError(f"a limit of {max_tokens} tokens leaves no room for special tokens")
        self.max_tokens = max_tokens
        self.pad_id = chosen.pad
        self.unknown_id = chosen.unknown
        self._table = chosen
        self._ids = _by_byte(chosen)
        self.vocab_size = 1 + max(int(self._ids.max()), chosen.pad, *chosen.prefix, *chosen.suffix)
        self._digest = definition_digest(
            {
                "kind": "characters",
                "ids": self._ids.tolist(),
                "prefix": chosen.prefix,
                "suffix": chosen.suffix,
                "skips_spaces": chosen.skips_spaces,
                "max_tokens": max_tokens,
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the table, special tokens and limit."""
        return self._digest

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, special tokens included, truncated on the right."""
        text = sequence
        if self._table.skips_spaces and not text.isalnum():
            text = "".join(text.split())
        letters = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
        room = len(letters)
        if self.max_tokens is not None:
            room = self.max_tokens - len(self._table.prefix) - len(self._table.suffix)
        ids = self._ids[letters[:room]]
        return TokenizedSequence(
            ids=np.concatenate([self._table.prefix, ids, self._table.suffix]).astype(np.int32),
            dropped_bp=max(0, len(letters) - room),
            unknown_bp=count_other_letters(text.upper() if self._table.upper_case else text),
        )


def _by_byte(table: CharacterTable) -> np.ndarray:
    ids = np.full(256, table.unknown, np.int32)
    for letter, index in table.letters.items():
        ids[ord(letter)] = index
        if table.upper_case:
            ids[ord(letter.lower())] = index
    return ids
