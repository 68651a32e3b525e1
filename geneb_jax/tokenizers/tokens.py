"""What every tokenizer gives back, and what the rest of the house may ask of one."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["TokenizedSequence", "Tokenizer", "definition_digest"]


@dataclass(frozen=True, slots=True)
class TokenizedSequence:
    """Token ids of one sequence and what tokenising it cost.

    Attributes:
        ids: int32 ``[n_tokens]``, special tokens included, already truncated to the model's limit.
        dropped_bp: Bases beyond the model's limit that were cut off, 0 when it fitted.
        unknown_bp: Letters other than A, C, G, T that the model's policy mapped or skipped.
    """

    ids: np.ndarray
    dropped_bp: int = 0
    unknown_bp: int = 0


class Tokenizer(ABC):
    """Text to token ids, special tokens and truncation included."""

    #: Id that fills padded positions.
    pad_id: int
    #: Ids are below this number.
    vocab_size: int
    #: Longest output in tokens, special tokens included; None where nothing limits it.
    max_tokens: int | None

    @abstractmethod
    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence; right-truncated to ``max_tokens``."""

    def tokenize_many(self, sequences: Sequence[str]) -> list[TokenizedSequence]:
        """The same for many sequences; overridden where that is faster than one by one."""
        return [self.tokenize(sequence) for sequence in sequences]

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 over everything that decides the ids: vocabulary, specials, policies, limit."""


def definition_digest(definition: Mapping[str, object]) -> str:
    """SHA-256 (hex) of a tokenizer's definition as canonical JSON."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
