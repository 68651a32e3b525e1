"""What every tokenizer gives back, and what the rest of the house may ask of one."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "TokenizedBatch",
    "TokenizedSequence",
    "Tokenizer",
    "definition_digest",
    "join_tokens",
]


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


@dataclass(frozen=True, slots=True)
class TokenizedBatch:
    """Token ids of many sequences, end to end: what the engine plans and fills batches from.

    Attributes:
        ids: Any integer dtype ``[n_tokens_total]``; the narrowest that fits saves host memory.
        starts: int64 ``[n + 1]``; sequence ``i`` is ``ids[starts[i]:starts[i + 1]]``.
        dropped_bp: int64 ``[n]``, as in :class:`TokenizedSequence`.
        unknown_bp: int64 ``[n]``, as in :class:`TokenizedSequence`.
    """

    ids: np.ndarray
    starts: np.ndarray
    dropped_bp: np.ndarray
    unknown_bp: np.ndarray

    @property
    def length_tokens(self) -> np.ndarray:
        """Tokens of each sequence, int64 ``[n]``."""
        return np.diff(self.starts)


class Tokenizer(ABC):
    """Text to token ids, special tokens and truncation included."""

    #: Id that fills padded positions.
    pad_id: int
    #: Ids are below this number.
    vocab_size: int
    #: Id of what the vocabulary does not know; None where there is none, or nobody says which.
    unknown_id: int | None = None
    #: Longest output in tokens, special tokens included; None where nothing limits it.
    max_tokens: int | None

    @abstractmethod
    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence; right-truncated to ``max_tokens``."""

    def tokenize_many(self, sequences: Sequence[str]) -> list[TokenizedSequence]:
        """The same for many sequences; overridden where that is faster than one by one."""
        return [self.tokenize(sequence) for sequence in sequences]

    def tokenize_batch(self, sequences: Sequence[str]) -> TokenizedBatch:
        """The same, end to end; overridden where whole batches are faster still."""
        return join_tokens(self.tokenize_many(sequences))

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 over everything that decides the ids: vocabulary, specials, policies, limit."""


def join_tokens(parts: Sequence[TokenizedSequence]) -> TokenizedBatch:
    """Sequences end to end, in the narrowest integers that hold their ids."""
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part.ids) for part in parts], out=starts[1:])
    ids = np.concatenate([part.ids for part in parts]) if parts else np.zeros(0, np.int32)
    if len(ids) and ids.min() >= 0:
        ids = ids.astype(np.min_scalar_type(ids.max()))
    return TokenizedBatch(
        ids=ids,
        starts=starts,
        dropped_bp=np.array([part.dropped_bp for part in parts], np.int64),
        unknown_bp=np.array([part.unknown_bp for part in parts], np.int64),
    )


def definition_digest(definition: Mapping[str, object]) -> str:
    """SHA-256 (hex) of a tokenizer's definition as canonical JSON."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
