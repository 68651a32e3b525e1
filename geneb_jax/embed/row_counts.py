"""What a model made of each sequence: tokens, letters cut off, windows, what it did not know.

The same numbers whether the row was embedded now or read from a store: they follow from the text
and the model's tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.embed.windows import WindowBlock, window_blocks
from geneb_jax.errors import ModelError
from geneb_jax.models.encoder import Encoder, TextCounts

__all__ = [
    "RowCounts",
    "WindowCounts",
    "context_said",
    "joined_counts",
    "require_within_context",
    "row_counts",
]

#: Letters that are counted at a time.
_BLOCK_LETTERS = 1 << 22
_BASES = frozenset("ACGT")
_SHOWN_LETTERS = 40


@dataclass(frozen=True, slots=True, eq=False)
class RowCounts:
    """A number a sequence, int64 ``[n]`` each, or narrower (:meth:`narrow`).

    Attributes:
        tokens: Tokens that were read, special tokens included: of all windows together, so that
            what two windows share counts twice.
        cut_bp: Letters that the context had no room for.
        windows: Pieces that it was read in.
        unknown_bp: Letters other than A, C, G, T, each once.
        unknown_tokens: Those of the tokens that the vocabulary does not know; None where nobody
            says which these are.
    """

    tokens: np.ndarray
    cut_bp: np.ndarray
    windows: np.ndarray
    unknown_bp: np.ndarray
    unknown_tokens: np.ndarray | None

    def __len__(self) -> int:
        return len(self.tokens)

    def narrow(self) -> RowCounts:
        """The same in as few bytes as hold them, to be kept by the million."""
        unknown = self.unknown_tokens
        return RowCounts(
            _narrow(self.tokens),
            _narrow(self.cut_bp),
            _narrow(self.windows),
            _narrow(self.unknown_bp),
            None if unknown is None else _narrow(unknown),
        )

    @classmethod
    def of(cls, counts: TextCounts) -> RowCounts:
        """Counts of texts that were read in one piece each."""
        return cls(
            counts.tokens,
            counts.cut_bp,
            np.ones(len(counts.tokens), np.int64),
            counts.unknown_bp,
            counts.unknown_tokens,
        )


def _narrow(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def joined_counts(parts: Sequence[RowCounts]) -> RowCounts:
    """Counts of one list of sequences after the other; of at least one."""
    unknown = [part.unknown_tokens for part in parts if part.unknown_tokens is not None]
    tokens, cut_bp, windows, unknown_bp = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("tokens", "cut_bp", "windows", "unknown_bp")
    )
    known = np.concatenate(unknown) if len(unknown) == len(parts) else None
    return RowCounts(tokens, cut_bp, windows, unknown_bp, known)


def row_counts(encoder: Encoder, texts: Sequence[str]) -> RowCounts | None:
    """Count, without embedding anything; None where the model does not say.

    Args:
        encoder: The model, with its policy for overlong sequences.
        texts: The sequences.
    """
    if encoder.counts_of(["ACGT"]) is None:
        return None
    if encoder.overlong.kind == "windows":
        counts = WindowCounts(encoder, texts)
        for block in window_blocks(encoder, texts):
            counts.add(block)
        return counts.total()
    parts: list[RowCounts] = []
    first = 0
    while first < len(texts) or not parts:
        last, letters = first, 0
        while last < len(texts) and letters < _BLOCK_LETTERS:
            letters += len(texts[last])
            last += 1
        some = encoder.counts_of(texts[first:last])
        assert some is not None
        parts.append(RowCounts.of(some))
        first = max(last, first + 1)
    return joined_counts(parts)


class WindowCounts:
    """Adds up the windows of some texts, block by block.

    Args:
        encoder: The model.
        texts: The sequences.
    """

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        self._encoder, self._texts = encoder, texts
        self._tokens, self._windows, self._unknown_tokens, self._unknown_bp = (
            np.zeros(len(texts), np.int64) for _ in range(4)
        )
        self._says_tokens = True

    def add(self, block: WindowBlock) -> None:
        """The next block."""
        np.add.at(self._tokens, block.owners, block.tokens)
        np.add.at(self._windows, block.owners, 1)
        if block.unknown_tokens is None:
            self._says_tokens = False
        else:
            np.add.at(self._unknown_tokens, block.owners, block.unknown_tokens)
        self._unknown_bp[block.owners] = block.unknown_bp

    def total(self) -> RowCounts | None:
        """All of them; None where the model does not show its tokens."""
        if self._encoder.counts_of(["ACGT"]) is None:
            return None
        unknown_bp = self._unknown_bp.copy()
        for at in np.flatnonzero(unknown_bp < 0).tolist():
            unknown_bp[at] = self._unknown_letters(self._texts[at])
        return RowCounts(
            self._tokens,
            np.zeros(len(self._texts), np.int64),
            self._windows,
            unknown_bp,
            self._unknown_tokens if self._says_tokens else None,
        )

    def _unknown_letters(self, text: str) -> int:
        """Unknown letters of a text, each once, by the model's own policy: windows overlap."""
        if _BASES.issuperset(text):
            return 0
        size = self._encoder.overlong.size
        assert size is not None
        pieces = [text[first : first + size] for first in range(0, len(text), size)]
        counts = self._encoder.counts_of(pieces)
        assert counts is not None
        return int(counts.unknown_bp.sum())


def require_within_context(
    encoder: Encoder, texts: Sequence[str], counts: RowCounts | None
) -> None:
    """Refuse texts that the context does not hold, whoever lets them come so far.

    Raises:
        ModelError: naming the first of them.
    """
    if counts is None or not counts.cut_bp.any():
        return
    at = int(np.flatnonzero(counts.cut_bp)[0])
    text = texts[at]
    raise ModelError(
        f"{int((counts.cut_bp > 0).sum())} of {len(texts)} sequences are longer than the context "
        f"({context_said(encoder)}); the first, {text[:_SHOWN_LETTERS]}..., has {len(text):,} "
        f"letters, {int(counts.cut_bp[at]):,} too many",
        where=encoder.identity.model_id,
        hint="--overlong windows reads them whole, --overlong truncate cuts them off",
    )


def context_said(encoder: Encoder) -> str:
    """The context's size for a message."""
    limit = encoder.longest_tokens
    return "of unknown size" if limit is None else f"{limit:,} tokens, special ones included"
